for (const film of document.querySelectorAll(".film")) {
  const slider = film.querySelector("input");
  if (!slider) continue;
  const frames = [...film.querySelectorAll(".frame")];
  const label = film.querySelector("output");
  const show = () => {
    frames.forEach((frame, index) => { frame.hidden = index !== Number(slider.value); });
    label.textContent = frames[slider.value].dataset.label;
  };
  slider.addEventListener("input", show);
  show();
}
