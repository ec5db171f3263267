"""Markup in text cells and in the answer that a person reads: scripts, links that run code, HTML in Markdown.

mlp.linear_backward: not written
"""
# %% text mlp.essay
*Your answer to mlp.essay:*

<script>window.owned = 1</script> [link](javascript:window.owned=1) <a href="javascript:window.owned=1">link</a>
<img src=x onerror="window.owned = 1"> <iframe src="http://127.0.0.1:@PORT@/"></iframe>
<style>* { display: none }</style> <form><input name="score" value="100"></form>

<svg/onload=window.owned=1> $\href{javascript:window.owned=1}{x}$ <!-- ### BEGIN SOLUTION -->

[ref]: javascript:window.owned=1
[ref] <javascript:window.owned=1> ![x](javascript:window.owned=1) ``` <script>window.owned = 1</script>
# %% markdown
# <script>window.owned = 1</script>

<details ontoggle="window.owned = 1" open>x</details> {{ cell }} {% raw %} ${7*7} {{ 7*7 }}
