# Bash completion for quern: commands, options, states, job numbers, engines, files.
# shellcheck shell=bash

# The words of the line so far that name the store, so that job numbers come from the right one.
_quern_store_options() {
	local i
	for ((i = 2; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--work | --file | -f)
			# -f follows in `logs`, and takes no file there.
			[[ ${COMP_WORDS[1]} == logs && ${COMP_WORDS[i]} == -f ]] && continue
			printf '%s\n%s\n' "${COMP_WORDS[i]/#-f/--file}" "${COMP_WORDS[i + 1]}"
			;;
		esac
	done
}

# Numbers of the jobs in one state, or with --all of every job.
_quern_list() {
	local options
	mapfile -t options < <(_quern_store_options)
	quern status "$@" --json "${options[@]}" 2>/dev/null |
		sed -n '/^ "jobs": \[/,$s/^ *"job": \([0-9]*\),$/\1/p'
}

_quern_jobs() {
	local state
	(($#)) || _quern_list --all
	for state in "$@"; do
		_quern_list --all --state "$state"
	done
}

# Repositories that jobs go to.
_quern_repos() {
	local options
	mapfile -t options < <(_quern_store_options)
	quern status --all --json "${options[@]}" 2>/dev/null | sed -n 's/^ *"repo": "\([^"]*\)",*$/\1/p' | sort -u
}

_quern_engines() {
	quern engines --json 2>/dev/null | sed -n 's/^   "name": "\([^"]*\)",$/\1/p'
}

_quern_words() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_quern_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen "$@" -- "$cur")
}

# The value of the option before the cursor; fails when that takes none.
_quern_value() {
	case $1:$2 in
	logs:-f | init:--run) return 1 ;;
	*:-f | *:--file) _quern_files -f -X '!*.y*ml' -o plusdirs ;;
	*:--work | *:--environment) _quern_files -d ;;
	bench:--model) ;;
	*:-o | *:--out | *:--output | *:--prompts) _quern_files -f ;;
	*:--logs) _quern_files -d ;;
	status:-s | status:--state)
		_quern_words "pending running validating ready uploading done failed cancelled"
		;;
	retry:--cause)
		local IFS=$'\n'
		_quern_words $'oom\nkilled\nenospc\ntimeout\nhang\ncrash\ndependency\narchitecture\nparameters\nrefused\nsource\ngated\nnetwork\noutput\nenvironment\nlaunch\nio\nunknown'
		;;
	run:--until | affected:--toolkit | affected:-m | affected:--model | affected:-q) ;;
	*:--engine | *:-e) _quern_words "$(_quern_engines)" ;;
	init:-m | *:--model) _quern_files -d ;;
	*:--hub) _quern_words "local none https://huggingface.co" ;;
	convert:-q | init:-q | *:--revision | *:--lora | *:--namespace | *:--container | *:--repo | *:--platform | *:--legal | *:--with | *:--name | *:--threads | *:--quant | *:--hybrid | *:--opt | *:--only | *:--until | *:--set | *:--jobs | *:-j | *:--run | *:--runs | *:--warmup | *:--endpoint | *:--serve | *:--board | *:--stage | *:--attempt | *:--ignore) ;;
	*) return 1 ;;
	esac
}

_quern_operand() {
	case $1 in
	bench)
		_quern_words "$(_quern_jobs "ready" "done")"
		mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur")
		;;
	show | logs | explain) _quern_words "$(_quern_jobs)" ;;
	retry) _quern_words "$(_quern_jobs failed cancelled)" ;;
	cancel) _quern_words "$(_quern_jobs pending running validating ready)" ;;
	card) _quern_words "$(_quern_repos)" ;;
	help) _quern_words "$commands" ;;
	calib | convert | verify | inspect | fake | import) _quern_files -f ;;
	esac
}

_quern() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
	local commands="init run plan status show logs explain affected retry cancel pause resume drain upload report card gc bench calib convert verify inspect fake import engines doctor help"
	local options

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		_quern_words "$commands --help --version"
		return
	fi
	_quern_value "$command" "$prev" && return
	if [[ $cur == -* ]]; then
		# The help is the one list of options.
		options=$(quern help "$command" 2>/dev/null | grep -o -- '--[a-z][a-z-]*')
		_quern_words "$options"
		return
	fi
	_quern_operand "$command"
}

complete -F _quern quern
