# fish completion for quern. `quern help` is the one list of commands and options: it is asked, not repeated.

function __quern_commands
    quern help 2>/dev/null | string match -rg '^  ([a-z][a-z-]*) +(?:[[A-Z]\S*(?: [[A-Z]\S*)*  +)?(\S.*)$' | paste - -
end

function __quern_command
    set -l words (commandline -opc)
    set -q words[2]; and echo $words[2]
end

# Each option of the command on the line, with what it says of itself.
function __quern_options
    quern help (__quern_command) 2>/dev/null |
        string match -rg '^  (?:-., |    )(--[a-z-]+)(?: [A-Z][A-Z=]*)?  +(.*)$' | paste - -
end

function __quern_jobs
    quern status --all --json 2>/dev/null | sed -n '/^ "jobs": \[/,$s/^ *"job": \([0-9]*\),$/\1/p'
end

complete -c quern -n 'test -z (__quern_command)' -f -a '(__quern_commands)'
complete -c quern -n 'test -n (__quern_command); and string match -q -- "-*" (commandline -ct)' -a '(__quern_options)'
complete -c quern -n 'contains -- (__quern_command) show logs explain retry cancel' -f -a '(__quern_jobs)'
complete -c quern -n 'contains -- (__quern_command) help' -f -a '(__quern_commands)'
