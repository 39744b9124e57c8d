# The stress tests: many connections, and SIGKILL of either side at random moments, with a census of the survivor.
# Sourced after stage.sh, not run.

stress_port='\RPC Control\ntlpc-stress'

# random_ms LOWEST HIGHEST: sleeps for a random time. RANDOM is seeded by tools/test, which prints the seed.
random_sleep() {
    local ms=$(($1 + (RANDOM * 32768 + RANDOM) % ($2 - $1 + 1)))
    sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
}

# census PID: descriptors, threads, shared regions and mappings of a process.
census() {
    local descriptors threads regions mappings
    descriptors=$(ls "/proc/$1/fd" | wc -l)
    threads=$(ls "/proc/$1/task" | wc -l)
    regions=$(grep -c 'memfd:' "/proc/$1/maps" || true)
    mappings=$(wc -l <"/proc/$1/maps")
    echo "$descriptors $threads $regions $mappings"
}

# expect_census PID BEFORE: as many descriptors, threads and shared regions as before, and about as many mappings (allocators
# keep a few). What the last peer held may take a moment to go.
expect_census() {
    local tries now before=($2)
    for tries in $(seq 100); do
        now=($(census "$1"))
        if [ "${now[0]}" -le "${before[0]}" ] && [ "${now[1]}" -le "${before[1]}" ] && [ "${now[2]}" -le "${before[2]}" ] \
            && [ "${now[3]}" -le $((before[3] + 12)) ]; then return; fi
        sleep 0.05
    done
    echo "process $1 leaks: descriptors, threads, shared regions, mappings were ${before[*]}, now ${now[*]}" >&2
    ls -l "/proc/$1/fd" >&2
    return 1
}

# ask WORLD TEXT: the server's answer to a request.
ask() {
    local command
    command_line "$1" stress_client
    "${command[@]}" --port "$stress_port" --ask "$2" </dev/null 2>&1
}

# expect_only_client: the server knows of no client but the one that asks.
expect_only_client() {
    local tries answer=
    for tries in $(seq 200); do
        answer=$(ask native status)
        case $answer in *live=1\ *) return ;; esac
        sleep 0.05
    done
    echo "the server still counts clients that are gone: $answer" >&2
    return 1
}

start_stress_server() {
    start "$1" stress_server --port "$stress_port" --threads 2
    server=$started
}

# Counts the lines a server has said so that the next one can be awaited.
listening_count() { grep -c '^server: listening' "$(scene_log)" || true; }
expect_listening() {
    local tries
    for tries in $(seq 1500); do
        [ "$(listening_count)" -ge "$1" ] && return
        sleep 0.02
    done
    echo "the server does not start" >&2
    return 1
}

# Opens a steered client: see stress_client.c. Lines go to descriptor `steering`.
start_steered_client() {
    local world=$1
    shift
    stage_input=$stage_directory/steering
    [ -p "$stage_input" ] || mkfifo "$stage_input"
    exec {steering}<>"$stage_input"
    start "$world" stress_client --port "$stress_port" "$@"
    client=$started
    stage_input=
}

# stress_rounds SERVER-WORLD CLIENT-WORLD ROUNDS SEED THREADS: connect, talk, leave, on each of the client's threads; nobody dies;
# nothing is left behind on either side.
stress_rounds() {
    local server client steering server_before client_before
    begin_scene "stress-$1-$2"
    start_stress_server "$1"
    expect_listening 1
    start_steered_client "$2" --rounds "$3" --stops 50 --seed "$4" --threads "$5"
    expect_line "^client: idle after $((50 * $5)) rounds" 60
    expect_only_client
    server_before=$(census "$server")
    client_before=$(census "$client")
    echo go >&"$steering"
    expect_line '^client: [0-9]+ rounds are over' 120
    echo stop >&"$steering"
    expect_line "^client: idle after $((($3 + 50) * $5)) rounds" 60
    expect_only_client
    expect_census "$server" "$server_before"
    expect_census "$client" "$client_before"
    echo end >&"$steering"
    expect_exit "$client" 0
    ask native quit >>"$(scene_log)"
    expect_exit "$server" 0
}

# stress_client_kills SERVER-WORLD CLIENT-WORLD KILLS: the server outlives clients that are killed at random moments, and hears of
# each that had connected.
stress_client_kills() {
    local server before= kill killed
    begin_scene "client-kills-$1-$2"
    start_stress_server "$1"
    expect_listening 1
    for kill in $(seq "$3"); do
        start "$2" stress_client --port "$stress_port" --rounds 100000000 --threads 2 --seed "$RANDOM"
        killed=$started
        random_sleep 1 250
        kill_program "$killed"
        if [ "$kill" = 5 ]; then expect_only_client; before=$(census "$server"); fi
    done
    expect_only_client
    expect_census "$server" "$before"
    ask native quit >>"$(scene_log)"
    expect_exit "$server" 0
}

# stress_server_kills SERVER-WORLD CLIENT-WORLD KILLS SEED: a client outlives servers that are killed at random moments. It ends
# with a failure if a wait ends with a status that a server's death does not give, or does not end.
stress_server_kills() {
    local server client steering before kill
    begin_scene "server-kills-$1-$2"
    start_stress_server "$1"
    expect_listening 1
    start_steered_client "$2" --rounds 100000000 --stops 50 --seed "$4" --survive
    expect_line '^client: idle after 50 rounds' 60
    before=$(census "$client")
    echo go >&"$steering"
    for kill in $(seq "$3"); do
        random_sleep 1 100
        kill_program "$server"
        start_stress_server "$1"
        expect_listening $((kill + 1))
    done
    random_sleep 50 100
    echo stop >&"$steering"
    expect_line '^client: idle after [0-9]{3,} rounds' 60
    expect_only_client
    expect_census "$client" "$before"
    echo end >&"$steering"
    expect_exit "$client" 0
    ask native quit >>"$(scene_log)"
    expect_exit "$server" 0
}
