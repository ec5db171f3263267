"""Magics of every kind: shell, bash, JavaScript, files run and written, settings, a reset at the end.

mlp.linear_backward: wrong | not written
mlp.momentum: right
mlp.parameters: right
absent: root:x:0
"""
# %% first
%autosave 1
%config InteractiveShell.ast_node_interactivity = "all"
%load_ext autoreload
%env NBGRADER_SCORE=100
%cd /
!cat /etc/passwd; touch /tmp/@MARK@; id
%run /etc/hostname
%sx ls / @COURSE@
# %% last
%%bash
cat /etc/passwd @COURSE@/.dlcourse/seed
kill -9 -1
# %% last
%%javascript
window.owned = 1; IPython.notebook.kernel.execute("1")
# %% last
%%html
<script>window.owned = 1</script><img src=x onerror="window.owned = 1">
# %% last
%%writefile /tmp/@MARK@
@MARK@
# %% last
%%script nosuchprogram
%%timeit
# %% last
input("what now? ")
# %% last
%debug
# %% last
%pdb on
1 / 0
# %% last
%reset -f
