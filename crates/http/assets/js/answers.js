// Answers of a model: a stream of chunks, and tokens with their log-probabilities.

/** The data of each server-sent event of an answer. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) yield part.slice(6);
  }
}

/** The text of a chunk or of a whole answer, its tokens, and why it ended, whatever the endpoint. */
export function piece(chunk) {
  const [choice] = chunk.choices ?? [];
  if (!choice) return { text: "", tokens: [], ended: null, usage: chunk.usage ?? null };
  const text = choice.delta?.content ?? choice.message?.content ?? choice.text ?? "";
  return { text, tokens: tokens(choice.logprobs), ended: choice.finish_reason ?? null, usage: chunk.usage ?? null };
}

/** Tokens of both shapes as `{token, logprob, others: [[token, logprob]]}`. */
function tokens(logprobs) {
  if (logprobs?.content) {
    return logprobs.content.map(({ token, logprob, top_logprobs: top }) => ({
      token, logprob, others: (top ?? []).map((one) => [one.token, one.logprob]),
    }));
  }
  return (logprobs?.tokens ?? []).map((token, index) => ({
    token,
    logprob: logprobs.token_logprobs[index],
    others: Object.entries(logprobs.top_logprobs?.[index] ?? {}).sort((a, b) => b[1] - a[1]),
  }));
}

/** Spaces and ends of lines of a token, visible. */
export const shown = (token) => token.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "␣");

const percent = (logprob) => {
  const share = 100 * Math.exp(logprob);
  return share >= 10 ? `${share.toFixed(0)} %` : share >= 0.01 ? `${share.toPrecision(2)} %` : "under 0.01 %";
};

const figure = (logprob) => (typeof logprob === "number" ? logprob.toFixed(3) : "");

function cell(text, className) {
  const element = document.createElement("td");
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** A row of the table of tokens. */
export function row({ token, logprob, others }, place) {
  const element = document.createElement("tr");
  const name = document.createElement("th");
  name.scope = "row";
  name.append(Object.assign(document.createElement("code"), { textContent: shown(token) }));
  const rest = others.filter(([other]) => other !== token).map(([other, value]) => `${shown(other)} ${percent(value)}`);
  element.append(
    cell(String(place), "r num"), name, cell(figure(logprob), "r num"),
    cell(typeof logprob === "number" ? percent(logprob) : "", "r num"), cell(rest.join("   "), "others"),
  );
  return element;
}

/** A token in the text; the pointer over it tells what the table has. */
export function mark({ token, logprob, others }) {
  const element = document.createElement("span");
  element.textContent = token;
  if (typeof logprob !== "number") return element;
  const share = Math.exp(logprob);
  element.className = share > 0.9 ? "sure" : share > 0.5 ? "likely" : share > 0.1 ? "unsure" : "unlikely";
  const lines = [`${shown(token)}  ${percent(logprob)}  (${figure(logprob)})`];
  for (const [other, value] of others) if (other !== token) lines.push(`${shown(other)}  ${percent(value)}`);
  element.title = lines.join("\n");
  return element;
}
