#compdef silo
# zsh completion for silo. To load it in this shell, after compinit:
#   source <(silo completion zsh)
# In every shell: write the output to a file _silo in a directory of $fpath.

_silo() {
    local program=${(Q)words[1]} kind text meaning
    local -a lines offered
    program=${program/#\~/$HOME}
    (( $+commands[$program] )) || [[ -x $program ]] || program=silo
    lines=("${(@f)$("$program" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    kind=$lines[1]
    case $kind in
    words)
        for text in "${(@)lines[2,-1]}"; do
            meaning=${text#*$'\t'} text=${text%%$'\t'*}
            offered+=("${text//:/\\:}:$meaning")
        done
        (( $#offered )) && _describe -t silo 'silo' offered
        ;;
    files)
        compset -P '-*='
        _files
        ;;
    dirs)
        compset -P '-*='
        _files -/
        ;;
    command*)
        local at=$(( ${kind#command } + 1 ))
        shift $at words
        (( CURRENT -= at ))
        _normal
        ;;
    esac
}

if [[ ${funcstack[1]} == _silo ]]; then
    _silo "$@"
else
    compdef _silo silo
fi
