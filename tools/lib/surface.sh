# The small checks of compat/programs/surface: each line that the program prints is a test of its own. Sourced after cases.sh.

# take_checks WORLD: counts the lines of the scene's log, says what was not ok, and keeps them for the coverage table.
take_checks() {
    local log=$1 name=$2 expected=$3 ok bad left
    ok=$(grep -c '^ok ' "$log" || true)
    bad=$(grep -c '^not ok ' "$log" || true)
    left=$(grep -c '^skip ' "$log" || true)
    # A program that dies leaves no failed line behind, and no last one.
    if ! grep -qE "^$ok ok, $bad not ok" "$log" || [ $((ok + bad + left)) -lt "$expected" ]; then bad=$((bad + 1)); tail -n 20 "$log" | sed 's/^/            /'; fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + left))
    printf '    %d passed, %d failed, %d skipped: %s\n' "$ok" "$bad" "$left" "$name"
    grep -E '^(not ok|skip) ' "$log" | sed 's/^/            /' || true
}

# run_surface WORLD: every check, with both sides in that world.
run_surface() {
    local log=$ntlpc_build/surface.$1.log command
    case "$1: the surface" in *"$filter"*) ;; *) return 0 ;; esac
    open_stage
    command_line "$1" surface
    timeout 600 "${command[@]}" --strict </dev/null >"$log" 2>&1 || true
    take_checks "$log" "$1: the surface, call by call and attribute by attribute" "$("$ntlpc_programs/native/surface" --list | wc -l)"
    close_stage
}

# cross_surface SERVER-WORLD CLIENT-WORLD: the checks that need two processes, across.
cross_surface() {
    local log=$ntlpc_build/surface.$1-$2.log command server port='\RPC Control\surface'
    case "$1 server, $2 client: the surface" in *"$filter"*) ;; *) return 0 ;; esac
    open_stage
    begin_scene surface
    start "$1" surface --serve "$port"
    server=$started
    command_line "$2" surface
    if expect_line '^server: serving'; then
        timeout 300 "${command[@]}" --strict --cross "$port" </dev/null >"$log" 2>&1 || true
    else
        echo 'the server did not start' >"$log"
    fi
    take_checks "$log" "$1 server, $2 client: what crosses between the worlds" 10
    kill -KILL "$server" 2>/dev/null || true
    close_stage
}

# WORLD CALLS: every call with bad arguments.
bad_arguments() {
    local command
    begin_scene bad-arguments
    command_line "$1" bad_arguments
    # A Windows program reads its tables through drive Z:.
    local tables="$ntlpc_top/compat"
    [ "$1" = native ] || tables=$(windows_path "$tables")
    timeout 900 "${command[@]}" --functions "$tables/functions.csv" --host-functions "$tables/host-functions.csv" --calls "$2" >>"$(scene_log)" 2>&1
}
