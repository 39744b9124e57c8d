# Running the test programs against each other: start them, wait for what they say, compare it with what was expected.
# Sourced after preparation.sh, not run.
#
# A scene is one conversation. All its programs append whole lines to one log, so the log shows the order in which things
# happened; each line begins with the speaker's name, so what each speaker said can be taken out and compared: only that order
# is certain. Numbers that differ from run to run (ids, processes) are replaced by "#" before that.

stage_directory=
stage_scene=none
stage_pids=()

open_stage() {
    stage_directory=$(mktemp -d "${TMPDIR:-/tmp}/ntlpc-stage.XXXXXX")
    export NTLPC_ROOT=$stage_directory/root WINEPREFIX=$ntlpc_prefix
    mkdir -m 700 "$NTLPC_ROOT"
}

# describe_programs: what each program of the stage is doing, for a failure that is a hang.
describe_programs() {
    local pid task
    for pid in ${stage_pids[@]+"${stage_pids[@]}"}; do
        [ -r "/proc/$pid/comm" ] || continue
        echo "process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
        for task in "/proc/$pid/task/"*; do
            echo "    thread ${task##*/}: $(cat "$task/comm" "$task/wchan" "$task/syscall" 2>/dev/null | tr '\n' ' ')"
        done
    done
}

# close_stage [STATUS]: ends only what this run has started. After a failure it shows the log of the scene.
close_stage() {
    local pid
    if [ "${1:-0}" != 0 ] && [ -f "$(scene_log)" ]; then
        echo "the end of the scene \"$stage_scene\":" >&2
        tail -n 40 "$(scene_log)" >&2
        describe_programs >&2
    fi
    for pid in ${stage_pids[@]+"${stage_pids[@]}"}; do kill -KILL "$pid" 2>/dev/null || true; done
    stage_pids=()
    if [ -n "$stage_directory" ] && [ -z "${NTLPC_KEEP_STAGE:-}" ]; then rm -rf "$stage_directory"; fi
}

begin_scene() { stage_scene=$1; : >"$stage_directory/$stage_scene.log"; }
scene_log() { printf '%s' "$stage_directory/$stage_scene.log"; }

# command_line WORLD PROGRAM: sets `command` to what runs a program of the world "wine" or "native".
command_line() {
    if [ "$1" = wine ]; then command=("$ntlpc_products/ntlpctl" run --prefix "$ntlpc_prefix" "$ntlpc_programs/$2.exe")
    else command=("$ntlpc_programs/native/$2"); fi
}

# start WORLD PROGRAM ARGUMENT...: in the background; its process id is in `started`. Its input is the file `stage_input`, if set.
start() {
    local world=$1 program=$2 command
    shift 2
    command_line "$world" "$program"
    "${command[@]}" "$@" <"${stage_input:-/dev/null}" >>"$(scene_log)" 2>&1 &
    started=$!
    stage_pids+=("$started")
}

# run WORLD PROGRAM ARGUMENT...: to its end; the status is the program's.
run() {
    local world=$1 program=$2 command
    shift 2
    command_line "$world" "$program"
    "${command[@]}" "$@" </dev/null >>"$(scene_log)" 2>&1
}

# expect_line PATTERN [SECONDS]: waits until the scene's log has a line that matches, or says that a program failed.
expect_line() {
    local tries=$((${2:-30} * 50))
    until grep -Eq -- "$1" "$(scene_log)"; do
        tries=$((tries - 1))
        if [ $tries -le 0 ] || grep -q ': FAILED: ' "$(scene_log)"; then
            echo "no line matches \"$1\" in the scene \"$stage_scene\"" >&2
            return 1
        fi
        sleep 0.02
    done
}

# expect_exit PID STATUS: the program of that id has ended so. Its own guard makes sure that it ends.
expect_exit() {
    local status=0 pid kept=()
    wait "$1" || status=$?
    for pid in "${stage_pids[@]}"; do [ "$pid" = "$1" ] || kept+=("$pid"); done
    stage_pids=(${kept[@]+"${kept[@]}"})
    [ "$status" = "$2" ] && return
    echo "a program of the scene \"$stage_scene\" ended with $status, expected $2" >&2
    return 1
}

# kill_program PID: SIGKILL, and waits until it is gone.
kill_program() {
    kill -KILL "$1"
    expect_exit "$1" 137 2>/dev/null
}

# Puts "#" for numbers that differ from run to run.
without_numbers() { sed -E 's/ id=[0-9]+/ id=#/; s/ callback=[0-9]+/ callback=#/; s/ from=[0-9]+\.[0-9]+/ from=#/'; }

# said SPEAKER...: what these said in this scene, one after the other, without the numbers.
said() {
    local speaker
    for speaker in "$@"; do { grep "^$speaker: " "$(scene_log)" || true; } | without_numbers; done
}

# compare_said [--sorted] [--client NAME] TRANSCRIPT SPEAKER...: with the transcript of that name. --sorted: the order does not
# count, because several clients spoke at once. --client: the transcript calls the client of that name "client".
compare_said() {
    local sorting=cat naming= transcript actual
    if [ "$1" = --sorted ]; then sorting=sort; shift; fi
    if [ "$1" = --client ]; then naming=$2; shift 2; fi
    transcript=$ntlpc_top/compat/programs/transcripts/$1.txt
    actual=$stage_directory/$stage_scene.$1.said
    shift
    said "$@" | sed "s/\\b${naming:-client}\\b/client/g" | LC_ALL=C $sorting >"$actual"
    if [ -n "${NTLPC_WRITE_TRANSCRIPTS:-}" ]; then cp "$actual" "$transcript"; fi
    diff -u "$transcript" "$actual" >&2 && return
    echo "the scene \"$stage_scene\" differs from ${transcript#"$ntlpc_top"/}" >&2
    return 1
}
