# bash completion for silo. To load it in this shell:
#   source <(silo completion bash)
# To load it in every shell, add that line to ~/.bashrc. Works with bash 3.2 and later.

_silo() {
    local IFS=$' \t\n' program=$1 word joined line kind tab=$'\t' i
    local -a words=() at=()
    program=${program/#\~/$HOME}
    type "$program" >/dev/null 2>&1 || program=silo
    # bash also splits words at = and :, so join the parts that have no blank between them.
    local rest=${COMP_LINE:0:COMP_POINT}
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        joined=no
        [[ $i -gt 0 && $rest != [[:space:]]* && ( $word == [=:]* || ${COMP_WORDS[i-1]} == *[=:] ) ]] && joined=yes
        while [[ $rest == [[:space:]]* ]]; do rest=${rest:1}; done
        [[ $i -eq COMP_CWORD ]] && word=$rest
        rest=${rest:${#word}}
        if [[ $joined == yes && ${#words[@]} -gt 0 ]]; then
            words[${#words[@]}-1]+=$word
        else
            at[${#words[@]}]=$i
            words[${#words[@]}]=$word
        fi
    done
    # Remaining quotes are the shell's, not silo's.
    for ((i = 0; i < ${#words[@]}; i++)); do
        words[i]=${words[i]//[\\\"\']/}
    done
    # For bash, the word at the cursor begins after the last = or :.
    local current=${words[${#words[@]}-1]} head=
    if [[ $current == *=* && $COMP_WORDBREAKS == *=* ]]; then head=${current%"${current##*=}"}; fi
    if [[ ${current##*=} == *:* && $COMP_WORDBREAKS == *:* ]]; then head=${current%"${current##*:}"}; fi

    COMPREPLY=()
    {
        read -r kind
        case $kind in
        words)
            while IFS= read -r line; do
                line=${line%%"$tab"*}
                COMPREPLY[${#COMPREPLY[@]}]=${line#"$head"}
            done
            ;;
        esac
    } < <("$program" __complete "${words[@]:1}" 2>/dev/null)

    case $kind in
    files | dirs)
        local action=-f
        [[ $kind == dirs ]] && action=-d
        type compopt >/dev/null 2>&1 && compopt -o filenames 2>/dev/null
        while IFS= read -r line; do
            COMPREPLY[${#COMPREPLY[@]}]=${line#"${head#*=}"}
        done < <(compgen "$action" -- "${current#-*=}")
        ;;
    command*)
        i=$((${kind#command } + 1))
        if declare -F _comp_command_offset >/dev/null; then
            _comp_command_offset "${at[i]}"
        elif declare -F _command_offset >/dev/null; then
            _command_offset "${at[i]}"
        else
            local how=-f
            [[ ${at[i]} -eq $COMP_CWORD && $current != */* ]] && how=-c
            type compopt >/dev/null 2>&1 && compopt -o filenames 2>/dev/null
            while IFS= read -r line; do
                COMPREPLY[${#COMPREPLY[@]}]=$line
            done < <(compgen "$how" -- "$current" | sort -u)
        fi
        ;;
    esac
}

complete -F _silo silo
