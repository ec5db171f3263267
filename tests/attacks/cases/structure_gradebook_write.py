"""A cell that opens the gradebook and gives itself full marks.

mlp.linear_backward: wrong | not written
shown: tried to write
absent: WROTE
"""
# %% last
import glob
import sqlite3

print("tried to write")
for path in ["@COURSE@/gradebook.db", *glob.glob("/*/gradebook*.db"), *glob.glob("@COURSE@/**/*.db")]:
    try:
        with sqlite3.connect(f"file:{path}?mode=rw", uri=True) as database:
            database.execute("update grade set auto_score = 100")
        print("WROTE", path)
    except sqlite3.Error:
        pass
