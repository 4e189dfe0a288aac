#!/bin/bash
#SBATCH --job-name=atlas
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=04:00:00
# One run of the pipeline on several nodes: a Ray cluster for the time of the job. For GPUs add
# `#SBATCH --gpus-per-node=1`. Submit it from the repository; docs/howto/cluster.md explains it.
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?submit this script with sbatch}"

export HF_HUB_OFFLINE=1 RAY_USAGE_STATS_ENABLED=0
export RAY_AUTH_MODE=token # others reach the nodes too; the token is in ~/.ray
.venv/bin/ray get-auth-token --generate >/dev/null
export RAY_TMPDIR="/tmp/ray-$SLURM_JOB_ID" # /tmp/ray may be another user's
export OMP_NUM_THREADS="$SLURM_CPUS_PER_TASK" # of the stage and of each worker
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p) # reads to the end
port=$((20000 + SLURM_JOB_ID % 20000)) # another one for each job
address="$first:$port"

# srun takes the CPUs of a task from nowhere but its own option.
on() { srun --nodes="$1" --ntasks="$1" --cpus-per-task="$SLURM_CPUS_PER_TASK" --overlap "${@:2}"; }
on 1 --nodelist="$first" .venv/bin/ray start --head --node-ip-address="$first" --port="$port" \
	--num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false --block &
head=$!
until .venv/bin/ray status --address="$address" >/dev/null 2>&1; do
	if ! kill -0 "$head" 2>/dev/null || [ "$SECONDS" -gt 600 ]; then
		echo "error: Ray has not started on $first" >&2
		exit 1
	fi
	sleep 2
done
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
	on "$((SLURM_JOB_NUM_NODES - 1))" --exclude="$first" .venv/bin/ray start \
		--address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
fi

export NEURON_ATLAS_EXECUTOR=ray RAY_ADDRESS="$address"
export NEURON_ATLAS_RAY_WORKERS="$SLURM_JOB_NUM_NODES" # a node that joins late is used when it is there
.venv/bin/dvc pull --run-cache || true # nothing is there before the first push
.venv/bin/dvc repro
.venv/bin/dvc push --run-cache
