// The look of the editor, in ComfyUI's own colours.

export const STYLE = `
.smce { display: flex; flex-direction: column; gap: 4px; width: 100%; height: 100%; min-height: 0; box-sizing: border-box;
  font: 12px/1.3 sans-serif; color: var(--input-text, #ddd); overflow: hidden; }
.smce * { box-sizing: border-box; }
.smce [hidden] { display: none !important; }
.smce-bar, .smce-tools, .smce-play { display: flex; align-items: center; gap: 4px; flex: none; min-width: 0; flex-wrap: wrap; }
.smce-bar { flex-wrap: nowrap; height: 26px; }
.smce-body { display: flex; flex-direction: column; gap: 4px; flex: 1; min-height: 0; }
.smce button, .smce select, .smce input { font: inherit; color: inherit; background: var(--comfy-input-bg, #222);
  border: 1px solid var(--border-color, #4e4e4e); border-radius: 4px; min-height: 24px; padding: 2px 7px; margin: 0; }
.smce button { cursor: pointer; white-space: nowrap; }
.smce button:hover:enabled { border-color: var(--input-text, #ddd); }
.smce button:disabled { opacity: 0.45; cursor: default; }
.smce button[aria-pressed=true] { background: var(--p-primary-color, #2f6fab); color: #fff; }
.smce :focus-visible { outline: 2px solid var(--p-primary-color, #3a9dff); outline-offset: -2px; }
.smce-note { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  color: var(--descrip-text, #999); }
.smce-hint { flex: none; min-height: 32px; max-height: 48px; overflow: hidden; color: var(--descrip-text, #999); }
.smce-hint.smce-wrong { color: var(--error-text, #ff6b6b); }
.smce-stage { position: relative; flex: 1; min-height: 120px; }
.smce canvas { display: block; width: 100%; border-radius: 4px; touch-action: none; }
.smce-map { position: absolute; inset: 0; height: 100%; cursor: crosshair; }
.smce-strip { flex: none; height: 84px; }
.smce-time { flex: none; height: 34px; cursor: ew-resize; }
.smce-now { flex: 1; min-width: 0; font-variant-numeric: tabular-nums; }
.smce-fields { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 4px; flex: none; }
.smce-fields label { display: flex; flex-direction: column; gap: 1px; color: var(--descrip-text, #999); font-size: 11px; }
.smce-fields input { width: 100%; color: var(--input-text, #ddd); font-size: 12px; }
.smce-thumb { position: absolute; margin: 0; padding: 3px; pointer-events: none; border-radius: 4px; max-width: 60%;
  background: var(--comfy-menu-bg, #353535); border: 1px solid var(--border-color, #4e4e4e); font-size: 11px; }
.smce-thumb img { display: block; width: 144px; max-width: 100%; min-height: 40px; }
`
