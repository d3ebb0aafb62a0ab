// One stream for all tabs: a browser opens at most six connections to a server, so the seventh tab would hang.
import { Stream } from "./stream.js";

const ports = new Set();
let last = { state: "lost" };

const tell = (message) => {
  if (message.state) last = message;
  for (const port of ports) port.postMessage(message);
};

let stream = null;

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    if (data.open) {
      ports.add(port);
      stream ??= new Stream(data.open, tell);
      port.postMessage(last);
    } else if (data.close) {
      ports.delete(port);
      if (ports.size === 0) {
        stream?.close();
        stream = null;
      }
    }
  };
};
