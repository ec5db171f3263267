# Makes plain `nbgrader ...` work in this folder: same layout, same sandbox, same judge as `dlcourse grade`.
import os
import sysconfig

c = get_config()  # noqa: F821

# nbgrader starts programs of its environment, which need not be activated
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])

c.CourseDirectory.course_id = "dlcourse"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "notebooks/exercises"
c.CourseDirectory.submitted_directory = "submitted"
c.CourseDirectory.autograded_directory = "autograded"
c.CourseDirectory.feedback_directory = "feedback"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__"]

# as nbgrader's own list, with one step more
c.GenerateAssignment.preprocessors = [
    "nbgrader.preprocessors.IncludeHeaderFooter",
    "nbgrader.preprocessors.LockCells",
    "nbgrader.preprocessors.ClearSolutions",
    "dlcourse.grading.nbgrader_steps.KeepRunning",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.CheckCellMetadata",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.SaveCells",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbgrader.preprocessors.ClearMarkScheme",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# nothing of the submission is executed by nbgrader itself: the judge does it, behind the wall
c.Autograde.sanitize_preprocessors = ["dlcourse.grading.nbgrader_steps.Arrange"]
c.Autograde.autograde_preprocessors = ["dlcourse.grading.nbgrader_steps.JudgeNotebook"]
