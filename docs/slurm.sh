#!/usr/bin/env bash
# A search on a Slurm allocation: sbatch docs/slurm.sh EXPERIMENT [KEY=VALUE ...]
# Ray starts on every node of the allocation, the search on the first, and both end together. The run folder is resumed
# if it is there. Slurm puts the job back into the queue after a lost node or a preemption; after the time limit submit
# it again: it may be killed at any moment without a loss.
#SBATCH --job-name=evonas
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

experiment=${1:?sbatch docs/slurm.sh EXPERIMENT [KEY=VALUE ...]}
shift
runs=${EVONAS_RUNS:-$PWD/runs} # on a file system that the nodes share, as the experiment and this environment are
run=$runs/$(basename "$experiment" .yaml)

# A token that this job alone knows; the nodes get it through the job's environment.
RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_USAGE_STATS_ENABLED=0

# The first node is the head. --exclusive above is needed: 'ray symmetric-run' refuses where another Ray runs, and ends
# with 'ray stop', which ends every Ray of this user on the machine.
nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
address=${nodes%%$'\n'*}:$((20000 + SLURM_JOB_ID % 20000))
command=(env RAY_ADDRESS="$address" evonas run "$experiment" "$@" --run "$run" --resume)

# Without --num-cpus and --num-gpus Ray would take all that a machine has, whatever Slurm has given.
cpus=${SLURM_CPUS_ON_NODE:-$(nproc)}
gpus=${SLURM_GPUS_ON_NODE:-0}

srun --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
  ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
  --num-cpus "$cpus" --num-gpus "$gpus" --include-dashboard=false -- "${command[@]}"
