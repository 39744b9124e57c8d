# Preparing a machine: what tools/demo and tools/test need before they can run. Sourced, not run.
#
# Everything made here stays inside the checkout, under .build/ (NTLPC_BUILD names another place) and compat/programs/build/: the
# products, the Wine prefix, the test programs. Each step looks first whether its result is there, so that a second run takes
# seconds.

ntlpc_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
ntlpc_build=${NTLPC_BUILD:-$ntlpc_top/.build}
ntlpc_products=$ntlpc_build/release
ntlpc_prefix=$ntlpc_build/wine-prefix
ntlpc_programs=$ntlpc_top/compat/programs/build

export SWIFT_BACKTRACE=enable=no
export WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe,winedbg.exe="
unset NTLPC_DISABLE NTLPC_TRACE NTLPC_SPIN NTLPC_LOG LD_PRELOAD

announce() { printf '==> %s\n' "$*"; }
give_up() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# as_root COMMAND...: by sudo when we are not root.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else give_up "cannot run \"$*\": be root or install sudo"; fi
}

# install_packages PACKAGE...: those that are missing.
install_packages() {
    local missing=() package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    announce "installing Debian packages: ${missing[*]}"
    command -v apt-get >/dev/null || give_up "this is no Debian system: install ${missing[*]} by hand"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

find_swift() {
    local place
    command -v swift >/dev/null && return
    for place in /opt/swift/usr/bin /usr/share/swift/usr/bin "$HOME/.local/share/swiftly/bin" "$HOME/.swiftly/bin"; do
        if [ -x "$place/swift" ]; then PATH=$place:$PATH; return; fi
    done
    give_up "Swift was not found: install Swift 6.3 from swift.org and put its usr/bin in PATH"
}

build_products() {
    local log=$ntlpc_build/build.log product
    announce "building the release products (the first time takes some minutes)"
    mkdir -p "$ntlpc_build"
    for product in ntlpc ntlpc-wine ntlpctl; do
        (cd "$ntlpc_top" && swift build -c release --scratch-path "$ntlpc_build" --product "$product") >"$log" 2>&1 || { cat "$log" >&2; give_up "the build of $product failed"; }
    done
    ln -sfn libntlpc.so "$ntlpc_products/libntlpc.so.1"
}

# build_programs TARGET...: of compat/programs, "windows" or "native".
build_programs() {
    local log=$ntlpc_build/programs.log
    announce "building the test programs: $*"
    make -C "$ntlpc_top/compat/programs" LIBNTLPC="$ntlpc_products/libntlpc.so" "$@" >"$log" 2>&1 || { cat "$log" >&2; give_up "the build of the test programs failed"; }
}

make_prefix() {
    [ -e "$ntlpc_prefix/ready" ] && return
    announce "making a Wine prefix in ${ntlpc_prefix#"$ntlpc_top"/} (takes up to half a minute)"
    rm -rf "$ntlpc_prefix"
    WINEPREFIX=$ntlpc_prefix wineboot -i >"$ntlpc_build/wineboot.log" 2>&1 || { cat "$ntlpc_build/wineboot.log" >&2; give_up "wineboot failed"; }
    WINEPREFIX=$ntlpc_prefix wineserver -w
    touch "$ntlpc_prefix/ready"
}

# prepare_native, prepare_wine: everything for programs of either world.
prepare_native() {
    install_packages make
    find_swift
    build_products
    build_programs native
}
prepare_wine() {
    install_packages wine wine64 gcc-mingw-w64-x86-64-win32
    build_programs windows
    make_prefix
}
