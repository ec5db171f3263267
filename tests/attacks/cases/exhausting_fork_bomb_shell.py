"""The same from a shell, in sessions of their own, so that no process group holds them.

mlp.linear_backward: process limit | time limit | not written | wrong | memory limit
"""
# %% answer mlp.linear_backward
import subprocess

bomb = "b() { setsid sh -c 'sleep 1000' & setsid sleep 1000 & b | b & }; b; wait"
subprocess.Popen(["bash", "-c", bomb], start_new_session=True).wait()
