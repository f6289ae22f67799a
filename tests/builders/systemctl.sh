#!/bin/sh
# A stand-in for systemctl on machines without systemd: one service, run from its unit's own ExecStart and restarted when it dies.
# usage: systemctl.sh FOLDER VERB…   FOLDER holds the unit, and what is known of the running service. A shell, since a test asks it a
# thousand times and a Python takes as long to start as what is asked takes.
folder=$1 verb=$2

pid_of() { # the process of that name, where one was started
    pid=
    [ ! -e "$folder/$1" ] || read -r pid <"$folder/$1" || true
}

alive() { # it runs, and is not only waited for
    pid_of "$1"
    [ -n "$pid" ] && [ -r "/proc/$pid/status" ] || return 1
    while read -r name value _; do
        [ "$name" != State: ] || [ "$value" = Z ] || return 0
    done <"/proc/$pid/status" 2>/dev/null
    return 1
}

stop() {
    for what in watcher service; do
        ! alive "$what" || kill -s KILL -- "-$pid" 2>/dev/null
        rm -f "$folder/$what"
    done
}

start() {
    echo 0 >"$folder/restarts"
    setsid sh "$0" "$folder" watch </dev/null >/dev/null 2>&1 &
    echo $! >"$folder/watcher"
}

watch() {
    while read -r line; do
        case "$line" in ExecStart=*) command=${line#ExecStart=} ;; esac
    done <"$folder/edgekit-app.service"
    count=0
    while :; do
        eval "setsid $command </dev/null >>'$folder/log' 2>&1 &"
        echo $! >"$folder/service"
        wait $!
        count=$((count + 1))
        echo "$count" >"$folder/restarts"
        sleep 0.1
    done
}

case "$verb" in
stop) stop ;;
restart) stop && start ;;
is-active) alive service || exit 3 ;;
is-failed) exit 1 ;;
show) cat "$folder/restarts" 2>/dev/null || echo 0 ;;
watch) watch ;;
esac
