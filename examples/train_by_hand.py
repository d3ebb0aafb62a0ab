# Fits y = w x to the points (1, 3), (2, 6), (3, 9) by gradient descent, with a checkpoint every 20 steps.
import json, os, pathlib, time
box, steps = pathlib.Path(os.environ["STEPWELL_CHECKPOINT_DIR"]), int(os.environ["STEPS"])
last = box / "last" / "state.json"
state = json.loads(last.read_text()) if last.exists() else {"step": 0, "w": 0.0, "losses": {}}
while state["step"] < steps:
    time.sleep(0.005); state["step"] += 1; state["w"] -= 0.005 * 28 / 3 * (state["w"] - 3)
    if state["step"] % 20 == 0:
        state["losses"][str(state["step"])] = loss = 14 / 3 * (state["w"] - 3) ** 2
        (box / "next").mkdir(); (box / "next" / "state.json").write_text(json.dumps(state))
        (box / "marker").write_text(json.dumps({"last_step": state["step"], "loss": loss}))
        (box / "marker").rename(box / "next.ready")
        while (box / "next.ready").exists(): time.sleep(0.02)
(pathlib.Path(os.environ["STEPWELL_OUTPUT_DIR"]) / "state.json").write_text(json.dumps(state))
pathlib.Path(os.environ["STEPWELL_VALUES"]).write_text(json.dumps({"weight": state["w"]}))
