// The layout of the schema's diagram, which is as large as all else: loaded when a diagram is first drawn.
export default class Elk {
  async layout(...given) {
    const { default: Whole } = await import("elkjs-whole");
    return new Whole().layout(...given);
  }
}
