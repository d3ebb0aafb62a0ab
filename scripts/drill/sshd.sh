#!/usr/bin/env bash
# sshd.sh COMMAND...: runs COMMAND beside an SSH server of its own on 127.0.0.1, with its own keys, in a temporary folder. The command
# sees STEPWELL_SSHD: the folder, with `port`, `key`, `known_hosts`, `sshd.pid`, and `restart-sshd`, which drops all connections. The
# server is ended and the folder removed afterwards. Needs root and the package openssh-server. Exits with 77 where they are missing.
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,4s/^# //p' "$0"; exit 2; }
PATH=$PATH:/usr/sbin
for program in sshd ssh ssh-keygen; do
  command -v "$program" >/dev/null || { echo "skipped: $program is not installed" >&2; exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "skipped: sshd needs root" >&2; exit 77; }

folder=$(mktemp -d /tmp/stepwell-sshd-XXXXXX)
end() {
  trap - EXIT INT TERM
  "$folder/stop-sshd" 2>/dev/null || true
  rm -rf "$folder"
}
trap end EXIT
trap 'exit 130' INT TERM

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
echo "$port" > "$folder/port"
ssh-keygen -q -t ed25519 -N '' -f "$folder/host_key"
ssh-keygen -q -t ed25519 -N '' -f "$folder/key"
cp "$folder/key.pub" "$folder/authorized_keys"
echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$folder/host_key.pub")" > "$folder/known_hosts"
mkdir -p /run/sshd
cat > "$folder/sshd_config" <<CONF
Port $port
ListenAddress 127.0.0.1
HostKey $folder/host_key
PidFile $folder/sshd.pid
AuthorizedKeysFile $folder/authorized_keys
PasswordAuthentication no
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
MaxStartups 100
CONF
cat > "$folder/stop-sshd" <<STOP
#!/bin/sh
# Ends the server and every connection that it serves.
[ -s "$folder/sshd.pid" ] || exit 0
server=\$(cat "$folder/sshd.pid")
served=\$(pgrep -P "\$server" || true)
kill \$server \$served \$(for pid in \$served; do pgrep -f '^sshd: ' -P "\$pid"; done) 2>/dev/null
rm -f "$folder/sshd.pid"
STOP
cat > "$folder/restart-sshd" <<RESTART
#!/bin/sh
"$folder/stop-sshd"
sleep "\${1:-0}"
exec $(command -v sshd) -f "$folder/sshd_config" -E "$folder/sshd.log"
RESTART
chmod 755 "$folder/restart-sshd" "$folder/stop-sshd"
export STEPWELL_SSHD=$folder
"$folder/restart-sshd"
"$@"
