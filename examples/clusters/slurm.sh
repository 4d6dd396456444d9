#!/bin/bash
# metagan under Slurm: one task per node starts Ray there, the command runs on the first node, and Ray ends
# with it. Submit from the project's folder, after `make install`:
#   sbatch examples/clusters/slurm.sh -c configs/omniglot.yaml data.path=... --run runs/omniglot
# The folder must be on a file system that all nodes share. A run that was cut off goes on with --resume.
#SBATCH --job-name=metagan
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --time=24:00:00
set -euo pipefail

head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
head_ip=$(srun --nodes=1 --ntasks=1 -w "$head_node" hostname --ip-address | awk '{print $1}')

# Other users share the network, and whoever may talk to a Ray may run code: a token of this job's own.
RAY_AUTH_TOKEN=$(python3 -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=1 PATH="$PWD/.venv/bin:$PATH"

gpus=${SLURM_GPUS_ON_NODE:-0}
srun --nodes="$SLURM_NNODES" --ntasks="$SLURM_NNODES" \
    ray symmetric-run --address "$head_ip:6379" --min-nodes "$SLURM_NNODES" \
    --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="$gpus" --disable-usage-stats -- \
    python -m metagan train "$@" cluster.address=auto \
    --workers "$((SLURM_NNODES * (gpus > 0 ? gpus : SLURM_CPUS_PER_TASK)))" \
    "cluster.gpus_per_worker=$((gpus > 0 ? 1 : 0))"
