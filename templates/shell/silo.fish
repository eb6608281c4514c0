# fish completion for silo. To load it in this shell:
#   silo completion fish | source
# In every shell: silo completion fish > ~/.config/fish/completions/silo.fish

function __silo_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program (string replace -r '^~' $HOME -- $words[1])
    type -q -- $program; or set program silo
    set -l lines ($program __complete $words[2..-1] "$current" 2>/dev/null)
    switch "$lines[1]"
        case words
            string join \n -- $lines[2..-1]
        case files
            set -l head (string match -r '^-[^=]*=' -- $current)
            for path in (__fish_complete_path (string replace -r '^-[^=]*=' '' -- $current))
                echo "$head$path"
            end
        case dirs
            set -l head (string match -r '^-[^=]*=' -- $current)
            for path in (__fish_complete_directories (string replace -r '^-[^=]*=' '' -- $current) '')
                echo "$head$path"
            end
        case 'command *'
            set -l at (math (string replace 'command ' '' -- $lines[1]) + 2)
            set -l rest
            test $at -le (count $words); and set rest (string escape -- $words[$at..-1])
            complete -C (string join ' ' -- $rest $current)
    end
end

complete -c silo -e
complete -c silo -f -k -a '(__silo_complete)'
