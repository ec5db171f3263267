"""Outputs with scripts, frames, forms, vector graphics, refreshes, links that run code, and styles that fetch.

mlp.linear_backward: not written
shown: harmless bold
"""
# %% answer mlp.linear_backward
from IPython.display import HTML, SVG, IFrame, Javascript, Latex, Markdown, display

run = "window.owned = 1"
for text in (
    f"<script>{run}</script>",
    f"<img src=x onerror='{run}'><b>harmless bold</b>",
    f"<svg onload='{run}'><script>{run}</script></svg>",
    f"<svg><animate onbegin='{run}' attributeName=x dur=1s></svg>",
    f"<iframe srcdoc='<script>parent.{run}</script>'></iframe>",
    f"<a href='javascript:{run}'>link</a><a href=' java\tscript:{run}'>link</a>",
    f"<form action='javascript:{run}'><button autofocus onfocus='{run}'>x</button></form>",
    "<meta http-equiv=refresh content='0; url=http://127.0.0.1:@PORT@/'>",
    "<link rel=stylesheet href='http://127.0.0.1:@PORT@/'><base href='http://127.0.0.1:@PORT@/'>",
    "<style>* {{ background: url(http://127.0.0.1:@PORT@/) }}</style><style>body {{ display: none }}</style>",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror={run}&gt;'>",
    f"<object data='data:text/html,<script>{run}</script>'></object><embed src='data:text/html,x'>",
    f"<details open ontoggle='{run}'>x</details><video><source onerror='{run}'></video>",
    f"<noscript><p title='</noscript><img src=x onerror={run}>'></noscript>",
    f"</pre></div></body></html><script>{run}</script><!--",
):
    display(HTML(text))
    display({"text/html": text, "image/svg+xml": text, "text/latex": text, "text/markdown": text}, raw=True)
    display({"application/javascript": run, "application/vnd.bokehjs_exec.v0+json": "", "text/html": [text]}, raw=True)
    print(text)
display(Javascript(run), SVG(f"<svg xmlns='http://www.w3.org/2000/svg' onload='{run}'/>"), Latex("$\\href{javascript:x}{y}$"))
display(Markdown(f"[link](javascript:{run}) <script>{run}</script> ![p](http://127.0.0.1:@PORT@/)"))
display(IFrame("http://127.0.0.1:@PORT@/", 10, 10))
display({"image/png": "\"><script>window.owned = 1</script>", "image/jpeg": "AAAA' onerror='window.owned = 1"}, raw=True)
