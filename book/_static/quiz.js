// Counts, for each question of a quiz, whether the first choice that was opened is the right one.
// Without this script the quiz answers just the same.
document.addEventListener("DOMContentLoaded", function () {
  "use strict";
  document.querySelectorAll("section.quiz").forEach(function (quiz) {
    var choices = Array.from(quiz.querySelectorAll("details"));
    if (!choices.length) return;
    var questions = [], of = new Map(), before = null;
    choices.forEach(function (choice) {  // choices of one question stand next to each other
      if (!before || choice.previousElementSibling !== before) questions.push({ first: null });
      of.set(choice, questions[questions.length - 1]);
      before = choice;
    });
    var score = document.createElement("p"), text = document.createElement("span");
    var again = document.createElement("button");
    score.className = "quiz-score";
    text.setAttribute("role", "status");
    again.type = "button";
    again.textContent = "Start again";
    score.append(text, " ", again);
    choices[choices.length - 1].after(score);

    function right(choice) { return choice.querySelector("strong").textContent === "Right."; }
    function say() {
      var answered = questions.filter(function (q) { return q.first; });
      var atOnce = answered.filter(function (q) { return right(q.first); });
      text.textContent = answered.length + " of " + questions.length + " answered, " + atOnce.length +
        " right at the first try.";
      again.hidden = !answered.length;
    }
    choices.forEach(function (choice) {
      choice.addEventListener("toggle", function () {
        var question = of.get(choice);
        if (choice.open && !question.first) {
          question.first = choice;
          choice.classList.add("first");
          say();
        }
      });
    });
    again.addEventListener("click", function () {
      questions.forEach(function (question) { question.first = null; });
      choices.forEach(function (choice) { choice.open = false; choice.classList.remove("first"); });
      say();
      choices[0].querySelector("summary").focus();
    });
    say();
  });
});
