"""A kernelspec of another language, with a command of its own, and a provisioner that nobody installed.

mlp.linear_backward: not written
"""
# %% build
notebook["metadata"] = {
    "kernelspec": {
        "name": "../../../tmp/@MARK@",
        "display_name": "R <script>window.owned = 1</script>",
        "language": "R",
        "argv": ["/bin/sh", "-c", "touch /tmp/@MARK@"],
        "metadata": {"kernel_provisioner": {"provisioner_name": "local-provisioner"}},
    },
    "language_info": {"name": "=cmd|' /C calc'!A0"},
    "nbgrader": {"points": 1000},
}
