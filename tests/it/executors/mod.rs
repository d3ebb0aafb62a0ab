//! One contract for every executor, and runs from end to end on those that are here. `scripts/drill/slurm.sh` and `scripts/drill/sshd.sh`
//! bring a cluster and a host; without them their tests say that they were skipped.

mod bench;
mod contract;
mod elsewhere;
