// Lets the keyboard scroll code and tables that are wider than the window.
function makeScrollable() {
  for (const block of document.querySelectorAll("pre, .table-wrapper"))
    if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
    else block.removeAttribute("tabindex");
}
addEventListener("load", makeScrollable);
addEventListener("resize", makeScrollable);
