# The cases of tools/test: what the programs of compat/programs must do, in either world. Sourced after stage.sh and stress.sh.
# Each case runs in a shell and with a namespace of its own; it fails when a command in it fails.

case_port='\RPC Control\ntlpc'

start_server() {
    start "$@" --port "$case_port"
    server=$started
    expect_line '^server: listening'
}

# SERVER-WORLD CLIENT-WORLD [SERVER-OPTION]
conversation_alpc() {
    local server
    begin_scene alpc
    start_server "$1" alpc_server ${3:+"$3"}
    run "$2" alpc_client --port "$case_port" --quit
    expect_exit "$server" 0
    compare_said alpc-client-quit client
    compare_said alpc-server-quit server
}

conversation_lpc() {
    local server
    begin_scene lpc
    start_server "$1" lpc_server ${3:+"$3"}
    run "$2" lpc_client --port "$case_port" --name winapp
    expect_line '^server: received LPC_PORT_CLOSED .* of winapp'
    run "$2" lpc_client --port "$case_port" --name intruder --intruder
    run "$2" lpc_client --port "$case_port" --name native --quit
    expect_exit "$server" 0
    compare_said --sorted lpc-conversation server winapp intruder native
}

# Clients of both worlds at once, several in one process.
crowd() {
    local server client clients=()
    begin_scene crowd
    start_server "$1" alpc_server
    for client in one two three; do
        start "$2" alpc_client --port "$case_port" --name "$client" --clients 4 --rounds 50
        clients+=("$started")
    done
    start native alpc_client --port "$case_port" --name four --clients 4 --rounds 50
    for client in "${clients[@]}" "$started"; do expect_exit "$client" 0; done
    [ "$(grep -c ': done$' "$(scene_log)")" = 4 ]
    run native alpc_client --port "$case_port" --name last --quit
    expect_exit "$server" 0
    expect_line '^server: closed after [0-9]+ messages, 16 clients had left'
}

by_name() {
    local server client
    begin_scene getproc
    start "$1" getproc_server --port "$case_port"; server=$started
    expect_line '^getproc_server: ALPC listening'
    run "$2" getproc_client --port "$case_port"
    expect_exit "$server" 0
    expect_line '^getproc_server: 109 calls found, 0 missing'
    expect_line '^getproc_client: done'
}

refusal() {
    local server
    begin_scene refusal
    start_server "$1" refuse_server --count 2
    run "$2" alpc_client --port "$case_port" --expect-refusal
    run "$2" alpc_client --port "$case_port" --expect-refusal
    expect_exit "$server" 0
    compare_said refuse-alpc server client
    begin_scene refusal-lpc
    start_server "$1" refuse_server --lpc
    run "$2" lpc_client --port "$case_port" --intruder
    expect_exit "$server" 0
    compare_said refuse-lpc server client
}

missing_name() {
    begin_scene missing
    run "$1" alpc_client --port "$case_port" --expect-missing
}

client_killed() {
    local server victim
    begin_scene client-killed
    start_server "$1" alpc_server
    start "$2" alpc_victim --port "$case_port"; victim=$started
    expect_line '^server: holds the request of victim'
    kill_program "$victim"
    expect_line '^server: received LPC_PORT_CLOSED .* of victim'
    expect_line '^server: received LPC_CANCELED .* of victim'
    run "$2" alpc_client --port "$case_port" --quit
    expect_exit "$server" 0
}

client_leaves() {
    local server
    begin_scene client-leaves
    start_server "$1" alpc_server
    run "$2" alpc_victim --port "$case_port" --leave
    expect_line '^server: received LPC_PORT_CLOSED .* of victim'
    run "$2" alpc_client --port "$case_port" --quit
    expect_exit "$server" 0
}

server_killed() {
    local server victim
    begin_scene server-killed
    start_server "$1" alpc_server
    start "$2" alpc_victim --port "$case_port"; victim=$started
    expect_line '^server: holds the request of victim'
    kill_program "$server"
    expect_exit "$victim" 0
    expect_line '^victim: the held request ended: STATUS_(MESSAGE_LOST|PORT_DISCONNECTED)'
    # The dead server's socket is no collision.
    begin_scene after-server-killed
    start_server "$1" alpc_server
    run "$2" alpc_client --port "$case_port" --quit
    expect_exit "$server" 0
}

lpc_killed() {
    local server client
    begin_scene lpc-client-killed
    start_server "$1" lpc_server
    start "$2" lpc_client --port "$case_port" --hold; client=$started
    expect_line '^server: holds the request of client'
    kill_program "$client"
    expect_line '^server: received LPC_PORT_CLOSED .* of client'
    start "$2" lpc_client --port "$case_port" --name widow --hold; client=$started
    expect_line '^server: holds the request of widow'
    kill_program "$server"
    expect_exit "$client" 0
    expect_line '^widow: the held request ended: STATUS_(LPC_REPLY_LOST|PORT_DISCONNECTED)'
}

name_collision() {
    local server status=0
    begin_scene collision
    start_server "$1" alpc_server
    run "$2" alpc_server --port "$case_port" || status=$?
    [ $status = 1 ]
    expect_line '^server: FAILED: NtAlpcCreatePort gave STATUS_OBJECT_NAME_COLLISION'
    run "$2" alpc_client --port "$case_port" --quit
    expect_exit "$server" 0
}

# create WORLD NAME STATUS: the creation of a port of that name fails so.
create_fails() {
    local status=0
    begin_scene malformed
    run "$1" alpc_server --port "$2" || status=$?
    [ $status = 1 ]
    expect_line "^server: FAILED: NtAlpcCreatePort gave ($3)"
}
malformed_names() {
    create_fails "$1" 'no-backslash' 'STATUS_OBJECT_PATH_SYNTAX_BAD|STATUS_OBJECT_NAME_INVALID|0xc000003b'
    create_fails "$1" '\RPC Control\' 'STATUS_OBJECT_NAME_INVALID|STATUS_OBJECT_NAME_COLLISION|STATUS_OBJECT_TYPE_MISMATCH|0xc000003b'
    create_fails "$1" '\No Such Directory\port' 'STATUS_OBJECT_PATH_NOT_FOUND'
    create_fails "$1" '\RPC Control\..\..\escape' 'STATUS_OBJECT_(NAME_INVALID|PATH_NOT_FOUND)'
}

# With descriptors for nothing but the standard ones, a status comes back; nothing crashes or hangs.
few_descriptors() {
    local limit status
    for limit in 4 6 8 10 12 16; do
        begin_scene "few-$limit"
        status=0
        (ulimit -n $limit; "$ntlpc_programs/native/alpc_server" --port "$case_port" --guard 1 </dev/null >"$(scene_log)" 2>&1) || status=$?
        case $status in
        1 | 3) ;;
        *) echo "with $limit descriptors it ended with $status" >&2; return 1 ;;
        esac
    done
}

# A namespace on a file system that is full.
full_disk() {
    local full=$stage_directory/full status=0
    mkdir "$full"
    as_root mount -t tmpfs -o size=16k,nr_inodes=4 none "$full"
    chmod 700 "$full"
    begin_scene full
    head -c 16384 /dev/zero 2>/dev/null >"$full/filling" || true
    touch "$full/a" "$full/b" "$full/c" 2>/dev/null || true
    NTLPC_ROOT=$full run native alpc_server --port "$case_port" --guard 2 || status=$?
    as_root umount "$full"
    [ $status = 1 ]
    expect_line '^server: FAILED: NtAlpcCreatePort gave (STATUS_|0xc)'
}

# A namespace root that others could write to, or that is no directory, is not used in silence.
bad_root() {
    local status=0
    begin_scene bad-root
    : >"$stage_directory/file"
    NTLPC_ROOT=$stage_directory/file run native alpc_server --port "$case_port" --guard 2 || status=$?
    [ $status = 1 ]
    expect_line '^server: FAILED: NtAlpcCreatePort gave'
}

# usage STATUS PATTERN COMMAND...: the command ends with the status and says one thing that matches.
complains() {
    local wanted=$1 pattern=$2 status=0 output
    shift 2
    output=$("$@" 2>&1 </dev/null) || status=$?
    if [ "$status" != "$wanted" ] || ! grep -Eq -- "$pattern" <<<"$output"; then
        echo "$* ended with $status and said: $output" >&2
        echo "expected $wanted and \"$pattern\"" >&2
        return 1
    fi
}

programs_complain() {
    local directory=$ntlpc_programs/native
    complains 2 '^alpc_server: --port is missing; use: alpc_server --port TEXT' "$directory/alpc_server"
    complains 2 'unknown argument "--frob"' "$directory/alpc_client" --port x --frob
    complains 2 '--rounds needs a number from 0 to' "$directory/alpc_client" --port x --rounds -1
    complains 2 '--rounds needs a number' "$directory/stress_client" --port x --rounds 1x
    complains 2 '--port needs a value' "$directory/lpc_server" --port
    complains 2 'the port name is missing' "$directory/getproc_server"
}

ntlpctl_complains() {
    local tool=$ntlpc_products/ntlpctl spaced="$stage_directory/a b"
    complains 2 'Missing the program' "$tool" run
    complains 2 "Unknown option '--frob'" "$tool" run --frob x.exe
    complains 2 "Unknown trace category 'bogus'" "$tool" run --trace bogus x.exe
    complains 1 'nosuch.exe: no such file' "$tool" run nosuch.exe
    complains 1 'is a directory' "$tool" run "$stage_directory"
    complains 1 'no such program' "$tool" run --wine /nonexistent/wine "$tool"
    complains 1 'the prefix is not a directory' "$tool" run --prefix "$tool" "$tool"
    complains 2 "Unknown option '--frob'" "$tool" status --frob
    complains 2 'invalid' "$tool" status --format xml
    complains 2 'one-core' "$tool" bench roundtrip --placement everywhere
    complains 2 '--duration needs' "$tool" bench roundtrip --duration 1
    complains 1 'libntlpc-wine.so was not found' env NTLPC_LIBRARY_DIR=/nonexistent "$tool" run "$tool"
    mkdir "$spaced"
    ln -s "$ntlpc_products/libntlpc.so" "$ntlpc_products/libntlpc-wine.so" "$spaced"
    complains 1 'LD_PRELOAD cannot hold' env NTLPC_LIBRARY_DIR="$spaced" "$tool" run "$tool"
}

status_reports() {
    local output
    output=$("$ntlpc_products/ntlpctl" status --prefix "${1:-/nonexistent}" --format json)
    grep -q '"version" : "' <<<"$output"
    grep -q "\"namespaceRoot\" : \"$NTLPC_ROOT\"" <<<"$output"
    [ -z "${1:-}" ] || grep -q '"layerIsActive" : true' <<<"$output"
}

bench_reports() {
    local output
    output=$("$ntlpc_products/ntlpctl" bench roundtrip --duration 50 --rounds 1 "$@")
    echo "$output"
    grep -Eq '^one-core +ntlpc, blocking +[0-9]+ ' <<<"$output"
    grep -Eq '^unpinned +raw futex +[0-9]+ ' <<<"$output"
}

exit_code_passes() { complains 7 '' "$ntlpc_products/ntlpctl" run --prefix "$ntlpc_prefix" cmd /c exit 7; }

# The layer steps aside when told to, and Wine goes on as before.
layer_disabled() {
    complains 1 'calls found, [1-9][0-9]* missing' env NTLPC_DISABLE=1 "$ntlpc_products/ntlpctl" run --prefix "$ntlpc_prefix" \
        "$ntlpc_programs/getproc_server.exe" --port "$case_port"
    complains 7 '' env NTLPC_DISABLE=1 "$ntlpc_products/ntlpctl" run --prefix "$ntlpc_prefix" cmd /c exit 7
}

# Preloaded into a program that is not Wine's, the library does nothing.
layer_inert() {
    local output
    output=$(LD_PRELOAD=$ntlpc_products/libntlpc-wine.so NTLPC_TRACE=wine /bin/sh -c 'echo fine; cat /proc/self/maps' 2>&1)
    grep -q '^fine' <<<"$output"
    ! grep -q '/libntlpc\.so' <<<"$output"
}

# A program started by a program has ports too.
child_process() {
    local server
    begin_scene child
    start_server wine alpc_server
    "$ntlpc_products/ntlpctl" run --prefix "$ntlpc_prefix" cmd /c "$(windows_path "$ntlpc_programs/alpc_client.exe")" --port "$case_port" --quit \
        </dev/null >>"$(scene_log)" 2>&1
    expect_exit "$server" 0
    expect_line '^client: done'
}
windows_path() { printf 'Z:%s' "${1//\//\\}"; }
