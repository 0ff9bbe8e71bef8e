#!/usr/bin/env bash
# Submits the units of a plan that are not done as arrays of jobs, and behind them a job that finalizes the data set.
#
#   submit.sh DIR [MAX_ARRAY_SIZE]
#
# The same command again submits what is still missing. Units that wait or run at that time are submitted once more: that takes time, and changes no
# byte. Logs lie where it is started. UL2_PREP names the tool if it is not `ul2-prep` on every node's PATH.
#
# Slurm keeps the environment of a job in its own files. So credentials are better off in a file that only their owner reads than in a variable.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${1:?no data set: submit.sh DIR [MAX_ARRAY_SIZE]}
# A cluster refuses higher indices: more units need several arrays, each with an offset.
size=${2:-$(scontrol show config | sed -n 's/^MaxArraySize *= *//p')}

arrays=$("${UL2_PREP:-ul2-prep}" status "$dir" --missing --array="$size")

after=
while read -r offset indices; do
    [ -n "$offset" ] || continue # nothing is missing
    job=$(sbatch --parsable --array="$indices" "$here/unit.sbatch" "$dir" "$offset")
    job=${job%%;*} # the cluster's name stands behind it where there are several
    after=$after:$job
    echo "job $job: units $offset + $indices"
done <<< "$arrays"

# `afterany`: also behind tasks that failed, so that its log says what is missing. `afterok` would wait for ever then.
job=$(sbatch --parsable ${after:+"--dependency=afterany$after"} "$here/finalize.sbatch" "$dir")
echo "job ${job%%;*}: finalize"
