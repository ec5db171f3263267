"""Templates' own syntax in every place that a template fills in.

student: {{ config }}{% raw %}
mlp.linear_backward: wrong
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    raise ValueError("{{ config }} {% raw %} {0.__class__} %(seed)s {seed} ${seed}")
# %% text mlp.essay
*Your answer to mlp.essay:* {{ resources }} {% include "/etc/passwd" %} {{ 7 * 191 }}
