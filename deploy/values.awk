# The table of a chart's values, as Markdown, from values.yaml: one row for each value, with the comment above it. A blank line
# ends a comment, so that one which stands alone is about nothing.

BEGIN {
    print "| value | default | |"
    print "|---|---|---|"
}

/^ *#/ {
    sub(/^ *# ?/, "")
    comment = comment (comment == "" ? "" : " ") $0
    next
}

/^$/ { comment = ""; next }

{
    depth = match($0, /[^ ]/) - 1
    split(substr($0, depth + 1), parts, /: */)
    key = parts[1]
    value = substr($0, depth + length(key) + 2)
    sub(/^ */, "", value)
    # Dots within a name are no steps.
    names[depth] = key ~ /\./ ? "\"" key "\"" : key
    path = ""
    for (level = 0; level < depth; level += 2) path = path names[level] "."
    path = path names[depth]
    # What has no value of its own is a group; what is said of it is said of each of its values.
    if (value == "") { group[depth] = comment; comment = ""; next }
    said = comment
    if (said == "" && depth > 0) said = group[depth - 2]
    if (said == "") { print "no comment on " path > "/dev/stderr"; failed = 1 }
    gsub(/\|/, "\\|", said)
    printf "| `%s` | `%s` | %s |\n", path, value, said
    comment = ""
}

END { exit failed }
