#!/usr/bin/env bash
# slurm.sh COMMAND...: runs COMMAND beside a Slurm cluster of its own: munged, slurmctld and two virtual nodes on this machine, in a
# temporary folder and on free ports. The command sees SLURM_CONF and STEPWELL_SLURM (the folder, with a `*.pid` per daemon and
# `restart-slurmctld`). Everything is ended and removed afterwards. Needs root, and Debian's packages munge, slurmctld, slurmd and
# slurm-client. Exits with 77 where they are missing.
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,5s/^# //p' "$0"; exit 2; }
for program in munged slurmctld slurmd sbatch squeue scontrol scancel; do
  command -v "$program" >/dev/null || PATH=$PATH:/usr/sbin
  command -v "$program" >/dev/null || { echo "skipped: $program is not installed" >&2; exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "skipped: a cluster needs root" >&2; exit 77; }

folder=$(mktemp -d /tmp/stepwell-slurm-XXXXXX)
chmod 755 "$folder"
end() {
  trap - EXIT INT TERM
  scancel --quiet --user=root --signal=KILL --full 2>/dev/null || true
  scancel --quiet --user=root 2>/dev/null || true
  for daemon in n1 n2 slurmctld munged; do
    [ -s "$folder/$daemon.pid" ] && kill "$(cat "$folder/$daemon.pid")" 2>/dev/null
  done
  sleep 0.5
  for daemon in n1 n2 slurmctld munged; do
    [ -s "$folder/$daemon.pid" ] && kill -KILL "$(cat "$folder/$daemon.pid")" 2>/dev/null
  done
  rm -rf "$folder"
}
trap end EXIT
trap 'exit 130' INT TERM

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
host=$(hostname -s)
mkdir -p "$folder/state" "$folder/spool-n1" "$folder/spool-n2"
head -c 64 /dev/urandom > "$folder/munge.key" && chmod 400 "$folder/munge.key"
cat > "$folder/slurm.conf" <<CONF
ClusterName=stepwell
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=bf_interval=1,sched_min_interval=100000,batch_sched_delay=0
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/%n.log
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=5
MinJobAge=300
CompleteWait=0
InactiveLimit=0
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$(free_port) CPUs=8 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$(free_port) CPUs=8 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 State=UP
PartitionName=short Nodes=n1 MaxTime=1 State=UP
CONF
export SLURM_CONF=$folder/slurm.conf STEPWELL_SLURM=$folder
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
  --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" --num-threads=2
cat > "$folder/restart-slurmctld" <<RESTART
#!/bin/sh
[ -s "$folder/slurmctld.pid" ] && kill -KILL "\$(cat "$folder/slurmctld.pid")" 2>/dev/null
sleep "\${1:-0}"
exec slurmctld -f "$SLURM_CONF"
RESTART
chmod 755 "$folder/restart-slurmctld"
slurmctld -c -f "$SLURM_CONF"
slurmd -N n1 -f "$SLURM_CONF"
slurmd -N n2 -f "$SLURM_CONF"
for _ in $(seq 100); do
  [ "$(sinfo --noheader --format=%T --partition=main 2>/dev/null)" = idle ] && break
  sleep 0.2
done
[ "$(sinfo --noheader --format=%T --partition=main)" = idle ] || { sinfo -N >&2; tail -n 5 "$folder"/*.log >&2; exit 1; }
"$@"
