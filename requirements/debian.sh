#!/bin/sh
# Fetches programs that Debian packages and pip can't: debian.sh [--optional] TOOL…
#
#   mosquitto chromium ffmpeg fonts   what the tests use
#   --optional                        where a tool can't be had, say so and go on
#   --unpack PACKAGE…                 unpack these packages in .cache, whatever is installed
#
# A tool that is there is left alone. Else it is installed with apt-get where this user may, or
# unpacked with its missing libraries in .cache/debian, with a command in .cache/debian/bin.
# mosquitto is always unpacked: its package would start a broker on this machine for good.
set -eu

cd "$(dirname "$0")/.."
base=$(pwd)/.cache/debian
tree=$base/root
bin=$base/bin
PATH=$bin:$PATH:/usr/sbin

say() { printf 'tools: %s\n' "$*"; }

can_be_root() {
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; }
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

packages_of() {
    case $1 in
        mosquitto) echo mosquitto ;;
        chromium) echo chromium ;;
        ffmpeg) echo ffmpeg ;;
        fonts) echo fonts-noto-cjk ;;
        *) echo "tools: unknown tool '$1': mosquitto, chromium, ffmpeg or fonts" >&2; exit 2 ;;
    esac
}

present() {
    case $1 in
        fonts)
            [ -d /usr/share/fonts/opentype/noto ] || [ -d "$tree/usr/share/fonts/opentype/noto" ] ||
                { command -v fc-list >/dev/null 2>&1 && [ -n "$(fc-list :lang=zh-cn)" ]; }
            ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

install() {
    say "installing $* with apt-get"
    as_root apt-get install -y -q --no-install-recommends "$@" </dev/null && return
    say "refreshing apt's lists"
    as_root apt-get update -q </dev/null &&
        as_root apt-get install -y -q --no-install-recommends "$@" </dev/null
}

# apt-get with the machine's lists, or, where it has none yet, with lists of our own.
apt() {
    if [ -d "$base/lists" ]; then
        apt-get -o Dir::State::Lists="$base/lists" -o Dir::Cache="$base/apt" "$@"
    else
        apt-get "$@"
    fi
}

missing_packages() {
    apt -s -q --no-install-recommends install "$@" 2>/dev/null </dev/null |
        sed -n 's/^Inst \([^ ]*\).*/\1/p'
}

own_lists() {
    say "fetching apt's lists into .cache"
    mkdir -p "$base/lists/partial" "$base/apt/archives/partial"
    apt update -q </dev/null
}

unpack() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || {
        say "this machine has no apt-get: install $* yourself"
        return 1
    }
    mkdir -p "$base/archives" "$tree"
    say "unpacking $* in .cache/debian"
    # What is installed already is named too, so that --unpack can have it again.
    wanted="$* $(missing_packages "$@")"
    # shellcheck disable=SC2086 # the list is meant to be split
    (cd "$base/archives" && apt download -q $wanted </dev/null) || {
        own_lists || return 1
        wanted="$* $(missing_packages "$@")"
        # shellcheck disable=SC2086 # the same
        (cd "$base/archives" && apt download -q $wanted </dev/null) || return 1
    }
    for archive in "$base"/archives/*.deb; do
        dpkg-deb -x "$archive" "$tree"
        rm "$archive"
    done
}

# A command in .cache/debian/bin that finds its unpacked libraries.
wrap() {
    program=
    for place in usr/lib/chromium usr/sbin usr/bin; do
        [ -x "$tree/$place/$1" ] && program=$tree/$place/$1 && break
    done
    [ -n "$program" ] || return 1
    machine=$(dpkg --print-architecture)
    triplet=$(ls "$tree/usr/lib" | grep -- '-linux-gnu' | head -n 1 || true)
    libraries=$tree/usr/lib/${triplet:-$machine}
    # Some packages keep a library in a folder below (libblas, pulseaudio).
    nested=$(find "$libraries" -mindepth 2 -name '*.so.*' -exec dirname {} + 2>/dev/null | sort -u | sed 's/^/:/' | tr -d '\n')
    mkdir -p "$bin"
    cat >"$bin/$1" <<END
#!/bin/sh
LD_LIBRARY_PATH=$libraries:$tree/lib/${triplet:-$machine}$nested\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
FONTCONFIG_FILE=\${FONTCONFIG_FILE:-$base/fonts.conf}
export LD_LIBRARY_PATH FONTCONFIG_FILE
exec "$program" "\$@"
END
    chmod +x "$bin/$1"
    cat >"$base/fonts.conf" <<END
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>/usr/share/fonts</dir>
  <dir>$tree/usr/share/fonts</dir>
  <cachedir>$base/fontcache</cachedir>
</fontconfig>
END
}

fetch() {
    tool=$1
    package=$(packages_of "$tool")
    if [ "$tool" != mosquitto ] && can_be_root && command -v apt-get >/dev/null 2>&1; then
        install "$package" && present "$tool" && return
        say "could not install $package; trying without root"
    fi
    unpack "$package" || return 1
    [ "$tool" = fonts ] || wrap "$tool" || return 1
    present "$tool"
}

optional=
if [ "${1:-}" = --unpack ]; then
    shift
    unpack "$@"
    exit
fi
if [ "${1:-}" = --optional ]; then
    optional=yes
    shift
fi
for tool in "$@"; do
    packages_of "$tool" >/dev/null
    present "$tool" && continue
    fetch "$tool" && say "$tool is ready" && continue
    say "$tool can't be had here: install Debian's package $(packages_of "$tool")"
    [ -n "$optional" ] || exit 1
done
