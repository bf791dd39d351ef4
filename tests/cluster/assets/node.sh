#!/bin/sh
# The node's sandbox: namespaces and cgroups of its own. Nothing in it outlives its first process, and the machine around
# it sees none of its mounts, bridges, routes and iptables rules. Run as root, by ../src/node/sandbox.rs.
#
#   node.sh outside FOLDER             makes the cgroups, writes them to FOLDER/cgroups, and becomes the sandbox
#   node.sh inside FOLDER              is the sandbox's first process
#   node.sh enter PROGRAM ARGUMENT...  runs a program in the sandbox's cgroups; nsenter has entered its namespaces
set -eu

outside() {
    folder=$1
    own_cgroups
    # `exec`, so that this is still the process when it has become unshare.
    echo $$ >"$folder/unshare.pid"
    exec unshare --mount --net --pid --cgroup --uts --ipc --propagation private --mount-proc \
        --fork --kill-child /bin/sh "$0" inside "$folder"
}

# A cgroup below our present one, so that what limits us limits the node; with cgroup v2 at the top, because processes
# may not live in a cgroup that has controllers to hand down.
own_cgroups() {
    : >"$folder/cgroups"
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
        own_cgroup /sys/fs/cgroup /sys/fs/cgroup
        return
    fi
    while IFS=: read -r _ controllers path; do
        controllers=${controllers#name=}
        mount=/sys/fs/cgroup/${controllers:-unified}
        [ ! -d "$mount" ] || own_cgroup "$mount" "$mount${path%/}"
    done </proc/self/cgroup
}

own_cgroup() {
    own=$2/${folder##*/}
    # Written down before it is made: whoever cleans up goes by it.
    echo "$own $1" >>"$folder/cgroups"
    mkdir "$own"
    for file in cpuset.cpus cpuset.mems; do
        # A new cpuset of cgroup v1 is empty, and takes no process.
        [ ! -f "$own/cgroup.clone_children" ] || [ ! -f "$own/$file" ] || cat "$2/$file" >"$own/$file"
    done
    echo $$ >"$own/cgroup.procs"
}

inside() {
    folder=$1
    # The kubelet's mounts must reach the containers.
    mount --make-rshared /
    # Shims, CNI and the kubelet write to paths that can't be set.
    mount -t tmpfs tmpfs /run
    for path in /var/lib /var/log; do
        layer=$folder/layers$path
        mkdir -p "$layer/upper" "$layer/work"
        # Volatile: its end need not wait for the disk.
        mount -t overlay overlay -o "volatile,lowerdir=$path,upperdir=$layer/upper,workdir=$layer/work" "$path"
    done
    while read -r own mount; do mount --bind "$own" "$mount"; done <"$folder/cgroups"
    delegate
    settings
    ip link set lo up
    echo 1 >/proc/sys/net/ipv4/ip_forward
    : >"$folder/sandbox-is-ready"
    sleep infinity &
    # Also takes in the orphans of the sandbox.
    wait
}

# Hands the controllers of cgroup v2 down to the containers; with v1 there is nothing to do.
delegate() {
    [ -f /sys/fs/cgroup/cgroup.controllers ] || return 0
    mkdir /sys/fs/cgroup/init
    echo $$ >/sys/fs/cgroup/init/cgroup.procs
    for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
        echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || true
    done
}

# The kubelet sets these for the whole machine unless it finds them so.
settings() {
    setting vm/overcommit_memory 1
    setting vm/panic_on_oom 0
    setting kernel/panic 10
    setting kernel/panic_on_oops 1
    setting kernel/keys/root_maxkeys 1000000
    setting kernel/keys/root_maxbytes 25000000
}

setting() {
    file=$folder/settings/$1
    mkdir -p "${file%/*}"
    echo "$2" >"$file"
    mount --bind "$file" "/proc/sys/$1"
}

enter() {
    if [ -d /sys/fs/cgroup/init ]; then
        echo 0 >/sys/fs/cgroup/init/cgroup.procs
    else
        for group in /sys/fs/cgroup/*; do
            [ ! -f "$group/cgroup.procs" ] || echo 0 >"$group/cgroup.procs"
        done
    fi
    exec "$@"
}

"$@"
