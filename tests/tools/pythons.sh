# shellcheck shell=bash
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Finds real interpreters. pyenv's shims answer `command -v` for versions that are not active, so an
# interpreter counts only if it runs, and shims never count.

# The folders of PATH without shims, then where else interpreters live; one a line.
python_folders() {
    tr ':' '\n' <<< "$PATH" | grep -v '/shims/*$' || true
    printf '%s\n' "$HOME"/.pyenv/versions/*/bin /usr/local/bin /usr/bin
}

# Interpreters of a minor version, best first: python_of 3.13
python_of() {
    local folder
    while read -r folder; do
        [ -x "$folder/python$1" ] && "$folder/python$1" -c '' 2>/dev/null && echo "$folder/python$1"
    done < <(python_folders)
    return 0
}

# The newest interpreter that can make a virtual environment for the tools.
newest_python() {
    local version candidate
    for version in 3.14 3.13 3.12 3.11; do
        while read -r candidate; do
            "$candidate" -c 'import venv, ensurepip, ssl' 2>/dev/null || continue
            echo "$candidate"
            return 0
        done < <(python_of "$version")
    done
    return 1
}
