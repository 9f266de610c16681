/* completion_scripts.c -- what each shell is told.  All of them ask the program itself
 * (completion.c), so none has to be changed when a command or flag is added. */
#include "cli/command_int.h"

/* Words are parted at '=' and ':' by bash before they come here; the program knows. */
static const char bash[] =
    "# bash completion for PROGRAM                              -*- shell-script -*-\n"
    "#\n"
    "# For this shell:  source <(PROGRAM completion bash)\n"
    "# For all:         PROGRAM completion bash >/etc/bash_completion.d/PROGRAM\n"
    "\n"
    "__PROGRAM_complete()\n"
    "{\n"
    "    local typed=${COMP_WORDS[COMP_CWORD]} answer line word\n"
    "\n"
    "    COMPREPLY=()\n"
    "    answer=$(\"${COMP_WORDS[0]}\" __completeNoDesc \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
    "2>/dev/null) "
    "|| return\n"
    "    [[ $typed == '=' ]] && typed=\n"
    "    while IFS= read -r word; do\n"
    "        if [[ $word == :* ]]; then\n"
    "            line=${word#:}\n"
    "        elif [[ $word == \"$typed\"* ]]; then\n"
    "            COMPREPLY+=(\"$word\")\n"
    "        fi\n"
    "    done <<<\"$answer\"\n"
    "    if (( ${#COMPREPLY[@]} == 0 && (${line:-0} & 4) == 0 )); then\n"
    "        compopt -o default 2>/dev/null\n"
    "    fi\n"
    "}\n"
    "\n"
    "complete -F __PROGRAM_complete PROGRAM\n";

static const char zsh[] =
    "#compdef PROGRAM\n"
    "#\n"
    "# For this shell:  source <(PROGRAM completion zsh)\n"
    "# For all:         PROGRAM completion zsh >\"${fpath[1]}/_PROGRAM\"\n"
    "\n"
    "_PROGRAM()\n"
    "{\n"
    "    local -a answer candidates\n"
    "    local line directive=0\n"
    "\n"
    "    answer=(\"${(@f)$(\"${words[1]}\" __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "    for line in \"${answer[@]}\"; do\n"
    "        if [[ $line == :* ]]; then\n"
    "            directive=${line#:}\n"
    "        elif [[ -n $line ]]; then\n"
    "            line=${line//:/\\\\:}\n"
    "            candidates+=(\"${line/$'\\t'/:}\")\n"
    "        fi\n"
    "    done\n"
    "    [[ ${words[CURRENT]} == -*=* ]] && compset -P '*='\n"
    "    if (( ${#candidates} )); then\n"
    "        _describe -o 'PROGRAM' candidates\n"
    "    elif (( (directive & 4) == 0 )); then\n"
    "        _files\n"
    "    fi\n"
    "}\n"
    "\n"
    "if [[ ${funcstack[1]} == _PROGRAM ]]; then\n"
    "    _PROGRAM \"$@\"\n"
    "else\n"
    "    compdef _PROGRAM PROGRAM\n"
    "fi\n";

static const char fish[] =
    "# fish completion for PROGRAM                              -*- shell-script -*-\n"
    "#\n"
    "# For this shell:  PROGRAM completion fish | source\n"
    "# For all:         PROGRAM completion fish >~/.config/fish/completions/PROGRAM.fish\n"
    "\n"
    "function __PROGRAM_complete\n"
    "    set -l typed (commandline -opc) (commandline -ct)\n"
    "    set -l offered 0\n"
    "    set -l directive 0\n"
    "    set -l flag (string match -r -- '^-.*=' (commandline -ct))\n"
    "\n"
    "    for line in ($typed[1] __complete $typed[2..-1] 2>/dev/null)\n"
    "        if string match -q ':*' -- $line\n"
    "            set directive (string sub -s 2 -- $line)\n"
    "        else\n"
    "            set offered 1\n"
    "            printf '%s\\n' \"$flag$line\"\n"
    "        end\n"
    "    end\n"
    "    if test $offered -eq 0; and test $directive -ne 4\n"
    "        __fish_complete_path (commandline -ct)\n"
    "    end\n"
    "end\n"
    "\n"
    "complete -c PROGRAM -f -a '(__PROGRAM_complete)'\n";

static const char powershell[] =
    "# powershell completion for PROGRAM                              -*- shell-script -*-\n"
    "#\n"
    "# For this session:  PROGRAM completion powershell | Out-String | Invoke-Expression\n"
    "\n"
    "Register-ArgumentCompleter -Native -CommandName 'PROGRAM' -ScriptBlock {\n"
    "    param($typed, $line, $cursor)\n"
    "\n"
    "    $words = @($line.CommandElements | Where-Object { $_.Extent.EndOffset -le $cursor } |\n"
    "        ForEach-Object { $_.Extent.Text })\n"
    "    $rest = @($words | Select-Object -Skip 1)\n"
    "    if ($typed -eq '') { $rest += '\"\"' }\n"
    "    foreach ($answer in (& $words[0] __complete @rest 2>$null)) {\n"
    "        if ($answer.StartsWith(':')) { continue }\n"
    "        $name, $text = $answer -split \"`t\", 2\n"
    "        if (-not $text) { $text = $name }\n"
    "        [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', "
    "$text)\n"
    "    }\n"
    "}\n";

const char *cli__completion_script(const char *shell)
{
    static const struct {
        const char *shell;
        const char *script;
    } scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}, {"powershell", powershell}};

    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        if (strcmp(scripts[i].shell, shell) == 0)
            return scripts[i].script;
    }
    return NULL;
}
