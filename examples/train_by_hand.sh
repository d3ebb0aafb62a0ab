# Fits y = w x to the points (1, 3), (2, 6), (3, 9) by gradient descent, with a checkpoint every 20 steps.
set -eu; cd "$STEPWELL_CHECKPOINT_DIR"
step=0 w=0; if [ -f last/state ]; then read -r step w <last/state; fi
while [ "$step" -lt "$STEPS" ]; do
  step=$((step + 1)) w=$(awk -v w="$w" 'BEGIN { printf "%.17g", w - 0.005 * 28 / 3 * (w - 3) }')
  if [ $((step % 20)) -gt 0 ]; then continue; fi
  loss=$(awk -v w="$w" 'BEGIN { printf "%.17g", 14 / 3 * (w - 3) ^ 2 }')
  mkdir next; if [ -d last ]; then cp last/metrics.csv next/; fi
  echo "$step $w" >next/state; echo "$step,$loss" >>next/metrics.csv
  echo "{\"last_step\": $step, \"loss\": $loss}" >marker; mv marker next.ready
  while [ -e next.ready ]; do sleep 0.02; done
done
cp last/metrics.csv "$STEPWELL_OUTPUT_DIR/"; echo "{\"weight\": $w}" >"$STEPWELL_VALUES"
