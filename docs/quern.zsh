#compdef quern
# zsh completion for quern. `quern help` is the one list of commands and options: it is asked, not repeated.

_quern_commands() {
	local -a commands
	commands=(${(f)"$(quern help 2>/dev/null |
		sed -n 's/^  \([a-z][a-z-]*\)  *\([A-Z[][^ ]*\( [A-Z[][^ ]*\)*  *\)\{0,1\}\(.*\)$/\1:\4/p')"})
	_describe -t commands command commands
}

# Lines like "  -f, --file FILE              the matrix" become specifications of _arguments.
_quern_options() {
	local -a options
	options=(${(f)"$(quern help $1 2>/dev/null | sed -n \
		-e 's/[]:\\[]/\\&/g' \
		-e 's/^  \(-.\), \(--[a-z-]*\) \([A-Z][A-Z=]*\)  *\(.*\)$/(\1 \2)\1+[\4]:\3:_files\n(\1 \2)\2=[\4]:\3:_files/p' \
		-e 's/^  \(-.\), \(--[a-z-]*\)  *\(.*\)$/(\1 \2)\1[\3]\n(\1 \2)\2[\3]/p' \
		-e 's/^      \(--[a-z-]*\) \([A-Z][A-Z=]*\)  *\(.*\)$/\1=[\3]:\2:_files/p' \
		-e 's/^      \(--[a-z-]*\)  *\(.*\)$/\1[\2]/p')"})
	print -rl -- $options
}

_quern_jobs() {
	local -a jobs
	jobs=(${(f)"$(quern status --all --json 2>/dev/null |
		sed -n '/^ "jobs": \[/,$s/^ *"job": \([0-9]*\),$/\1/p')"})
	_describe -t jobs job jobs
}

_quern() {
	local curcontext=$curcontext state line
	local -a options

	_arguments -C '1:command:_quern_commands' '*::argument:->rest'
	[[ $state == rest ]] || return
	options=(${(f)"$(_quern_options $words[1])"})
	case $words[1] in
	show | logs | explain | retry | cancel) _arguments -s $options '*:job:_quern_jobs' ;;
	help) _arguments '1:command:_quern_commands' ;;
	*) _arguments -s $options '*:file:_files' ;;
	esac
}

_quern "$@"
