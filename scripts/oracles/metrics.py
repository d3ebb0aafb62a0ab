"""See metrics.sh."""

import argparse

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from served import served

UNITS = ("_seconds", "_bytes", "_ratio", "_info", "_total")
# Gauges that count things, and 0 or 1.
PLAIN = {"stepwell_engine_active", "stepwell_engine_here", "stepwell_runs", "stepwell_steps_running", "stepwell_run_loss",
         "stepwell_run_validation_loss", "stepwell_run_learning_rate", "stepwell_run_gradient_norm",
         "stepwell_run_tokens_per_second", "stepwell_http_event_streams"}
BOUNDED = {"status", "class", "le", "version", "run", "id", "backend", "commit"}


def samples(families):
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--stepwell", required=True)
    with served(arguments.parse_args().stepwell) as server:
        text, text_type = server.get("/metrics")
        modern, modern_type = server.get("/metrics", accept="application/openmetrics-text; version=1.0.0")
        as_json = server.json("/api/v1/metrics.json")
    problems = []
    if not text_type.startswith("text/plain; version=0.0.4"):
        problems.append(f"content type of the text format: {text_type}")
    if not modern_type.startswith("application/openmetrics-text; version=1.0.0"):
        problems.append(f"content type of OpenMetrics: {modern_type}")
    old, new = list(prometheus(text)), list(openmetrics(modern))
    for family in new:
        if not family.documentation:
            problems.append(f"{family.name} has no help")
        name = family.name + ("_total" if family.type == "counter" else "_info" if family.type == "info" else "")
        if name not in PLAIN and not name.endswith(UNITS):
            problems.append(f"{name} has no unit")
        for sample in family.samples:
            for label in set(sample.labels) - BOUNDED:
                problems.append(f"{sample.name} has the label {label}")
    first, second = samples(old), samples(new)
    if set(first) != set(second):
        problems.append(f"the formats differ: {set(first) ^ set(second)}")
    names = set(as_json)
    said = {family.name + ("_total" if family.type == "counter" else "") for family in old}
    if names != said:
        problems.append(f"JSON differs: {names ^ said}")
    for name in ("stepwell_engine_here", "stepwell_events_total", "stepwell_steps_running"):
        if as_json.get(name) != first.get((name, ())):
            problems.append(f"{name} is {first.get((name, ()))}, in JSON {as_json.get(name)}")
    print(f"{len(old)} families as text, {len(new)} as OpenMetrics, {len(names)} in JSON, {len(first)} samples")
    for problem in sorted(set(problems)):
        print("problem:", problem)
    raise SystemExit(1 if problems else 0)


main()
