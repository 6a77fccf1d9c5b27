#!/usr/bin/env bash
# A Slurm of one node, this machine, for tests: as root, without systemd, on ports of its own.
# usage: scripts/slurm.sh up|down|kill-node|status      state in SLURM_STATE (/var/tmp/cicl-slurm); then SLURM_CONF=$SLURM_STATE/slurm.conf
set -euo pipefail
state=${SLURM_STATE:-/var/tmp/cicl-slurm}
export SLURM_CONF=$state/slurm.conf
daemons=(slurmd slurmctld munged)

# A daemon that has ended may stay a zombie where process 1 collects none.
alive() {
    local pid
    [[ -s $state/$1.pid ]] && pid=$(cat "$state/$1.pid") && [[ $(ps -o stat= -p "$pid" 2>/dev/null) == [^Z]* ]]
}

write_config() {
    local host memory
    host=$(hostname -s)
    memory=$(($(awk '/MemTotal/ { print $2 }' /proc/meminfo) / 1024 - 1024))
    grep -qw "$host" /etc/hosts || echo "127.0.0.1 $host" >>/etc/hosts
    cat >"$SLURM_CONF" <<CONF
ClusterName=cicl
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$state/munged.sock
CredType=cred/munge
StateSaveLocation=$state/ctl
SlurmdSpoolDir=$state/spool
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
SlurmctldPort=17817
SlurmdPort=17818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2
MaxArraySize=1001
MinJobAge=300
ReturnToService=2
SlurmctldTimeout=30
# A node that does not answer for as long as this is lost.
SlurmdTimeout=10
InactiveLimit=0
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
}

up() {
    for command in slurmctld slurmd munged; do
        command -v "$command" >/dev/null || {
            echo "$command is missing: apt-get install slurm-wlm munge" >&2
            exit 1
        }
    done
    mkdir -p "$state"/{ctl,spool,munge}
    chmod 755 "$state"
    [[ -s $state/munge/key ]] || (umask 077 && head -c 1024 /dev/urandom >"$state/munge/key")
    write_config
    alive munged || munged --force --key-file="$state/munge/key" --socket="$state/munged.sock" \
        --pid-file="$state/munged.pid" --log-file="$state/munged.log" --seed-file="$state/munge/seed"
    alive slurmctld || slurmctld -c
    alive slurmd || slurmd
    for _ in $(seq 150); do
        if [[ $(sinfo --noheader --format=%t 2>/dev/null) == @(idle|mix|alloc) ]]; then
            return
        fi
        sleep 0.2
    done
    echo "Slurm did not come up; see $state/*.log" >&2
    tail -n 5 "$state"/*.log >&2
    exit 1
}

down() {
    for daemon in "${daemons[@]}"; do
        alive "$daemon" && kill "$(cat "$state/$daemon.pid")"
    done
    for _ in $(seq 50); do
        alive slurmd || alive slurmctld || alive munged || return 0
        sleep 0.1
    done
}

# What a crash of the node does: its daemon and all processes of its jobs end at once, and nobody is told.
kill_node() {
    local step daemon
    daemon=$(cat "$state/slurmd.pid")
    for step in $(pgrep -f "^slurmstepd: \[" || true); do
        # Only the steps of this Slurm; each job is a session of its own below its step.
        grep -qz "SLURM_CONF=$SLURM_CONF" "/proc/$step/environ" 2>/dev/null || continue
        mapfile -t below < <(descendants "$step")
        kill -9 "$step" "${below[@]}" 2>/dev/null || true
    done
    kill -9 "$daemon"
}

descendants() {
    local child
    for child in $(pgrep -P "$1" || true); do
        echo "$child"
        descendants "$child"
    done
}

case ${1:-} in
    up) up ;;
    down) down ;;
    kill-node) kill_node ;;
    status) for daemon in "${daemons[@]}"; do alive "$daemon" && echo "$daemon up" || echo "$daemon down"; done ;;
    *)
        echo 'usage: scripts/slurm.sh up|down|kill-node|status' >&2
        exit 2
        ;;
esac
