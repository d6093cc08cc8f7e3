// Elements of the page, made once: each with its class, attributes and place.

/** A new element with a class ("" for none) and attributes. */
export function make(tag, name, attributes = {}) {
  const element = document.createElement(tag)
  if (name) element.className = name
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  return element
}

/** A new element at the end of `parent`. */
export function add(parent, tag, name, attributes) {
  const element = make(tag, name, attributes)
  parent.append(element)
  return element
}

/** A new button; one with a mark for a label is read out by its tooltip. */
export function button(parent, label, tip) {
  const element = add(parent, "button", "", { type: "button", title: tip })
  element.textContent = label
  if (label.length < 3) element.setAttribute("aria-label", tip)
  return element
}
