"""`neural-isp completion`: the shell's completion script, made by click."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: neural-isp completion bash > ~/.local/share/bash-completion/completions/neural-isp
    zsh:  neural-isp completion zsh > ~/.zfunc/_neural-isp
    fish: neural-isp completion fish > ~/.config/fish/completions/neural-isp.fish
    """
    kind = get_completion_class(shell)
    if kind is None:  # Choice has let none other through
        raise click.BadParameter(shell)
    click.echo(kind(context.find_root().command, {}, "neural-isp", "_NEURAL_ISP_COMPLETE").source())
