"""How each shipped model is made: data, networks, loops and export. Imports torch; serving never imports this."""
