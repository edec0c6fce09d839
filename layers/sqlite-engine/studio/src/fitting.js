// Fits Prisma's Studio to its place: nothing to insert in states that can only be read, and room on a phone.
import { useEffect } from "react";

const NARROW = "(max-width: 600px)";
const INSERT = "Insert row";

// Enter on a button is a click on it. The grid listens to the whole page, and would open its cell instead: so this
// listens before it does.
addEventListener(
  "keydown",
  (event) => {
    const button = event.target.closest?.(".studio button:not([role], [aria-haspopup=menu])");
    if (event.key === "Enter" && button) event.stopImmediatePropagation();
  },
  { capture: true },
);

// `root`: a ref of the element that the studio is in.
export function useFitting(root, isReadOnly) {
  useEffect(() => {
    const narrow = matchMedia(NARROW);
    let isNew = true;
    const navigation = (action) => root.current?.querySelector(`button[aria-label="${action} navigation"]`);

    // The list of tables takes half of a phone's width: it is closed at first, and once a table was chosen.
    function close() {
      if (narrow.matches) navigation("Close")?.click();
    }
    function fit() {
      if (isNew && navigation("Close")) {
        isNew = false;
        close();
      }
      if (!isReadOnly) return;
      for (const button of root.current?.querySelectorAll("button") ?? []) {
        if (button.textContent === INSERT) button.hidden = true;
      }
    }
    const observer = new MutationObserver(fit);
    observer.observe(root.current, { childList: true, subtree: true });
    fit();
    addEventListener("hashchange", close);
    return () => {
      observer.disconnect();
      removeEventListener("hashchange", close);
    };
  }, [root, isReadOnly]);
}
