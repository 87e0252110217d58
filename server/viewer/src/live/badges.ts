/** The pictures of the markers, drawn once each: a disc with a number for a bunch, a plate with a sign for one event. */

import { colourOfRank, glyphOf } from "./look";

const PLATE = "#0c131b";
const FONT = 'system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif';

/** Few different numbers, so that few pictures: 7, 42, 120+, 1.3k. */
export function countLabel(count: number): string {
  if (count < 100) return String(count);
  if (count < 1000) return `${Math.floor(count / 10) * 10}+`;
  return `${(Math.floor(count / 100) / 10).toFixed(1).replace(/\.0$/, "")}k`;
}

export const clusterSize = (count: number): number => Math.round(30 + 7 * Math.min(Math.log10(count) * 1.6, 4));

function board(size: number): { canvas: HTMLCanvasElement; pen: CanvasRenderingContext2D } {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size * 2;
  const pen = canvas.getContext("2d") as CanvasRenderingContext2D;
  pen.scale(2, 2);
  return { canvas, pen };
}

export function drawCluster(count: number, rank: number): HTMLCanvasElement {
  const size = clusterSize(count);
  const { canvas, pen } = board(size);
  const colour = colourOfRank(rank);
  pen.beginPath();
  pen.arc(size / 2, size / 2, size / 2 - 2, 0, 2 * Math.PI);
  pen.fillStyle = PLATE;
  pen.globalAlpha = 0.9;
  pen.fill();
  pen.globalAlpha = 1;
  pen.lineWidth = rank >= 3 ? 3 : 2;
  pen.strokeStyle = colour;
  pen.stroke();
  pen.fillStyle = rank >= 2 ? colour : "#dfe8ee";
  pen.font = `600 ${size * 0.38}px ${FONT}`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(countLabel(count), size / 2, size / 2 + 0.5);
  return canvas;
}

export const SINGLE = 30;

/** A plate on a stem; severe ones are filled, so that they are seen without their colour as well. */
export function drawSingle(kind: string, rank: number, chosen: boolean): HTMLCanvasElement {
  const { canvas, pen } = board(SINGLE);
  const colour = chosen ? "#ffb347" : colourOfRank(rank);
  const filled = rank >= 3;
  pen.beginPath();
  pen.moveTo(SINGLE / 2 - 4, 22);
  pen.lineTo(SINGLE / 2, SINGLE - 1);
  pen.lineTo(SINGLE / 2 + 4, 22);
  pen.closePath();
  pen.fillStyle = colour;
  pen.fill();
  pen.beginPath();
  pen.roundRect(3.5, 1, 23, 22, 5);
  pen.fillStyle = filled ? colour : PLATE;
  pen.fill();
  pen.lineWidth = 1.8;
  pen.strokeStyle = colour;
  pen.stroke();
  sign(pen, kind, filled ? PLATE : colour, 6.4, 3.4, 17.2);
  return canvas;
}

export const ARROW = 26;

/** Points north until it is turned. */
export function drawMover(kind: string, rank: number, chosen: boolean): HTMLCanvasElement {
  const { canvas, pen } = board(ARROW);
  const colour = chosen ? "#ffb347" : rank >= 3 ? colourOfRank(rank) : kind === "patrol" ? "#8fd0ff" : "#a9c7d8";
  pen.translate(1, 1);
  pen.beginPath();
  pen.moveTo(12, 2);
  pen.lineTo(20, 21);
  pen.lineTo(12, 16.5);
  pen.lineTo(4, 21);
  pen.closePath();
  pen.fillStyle = colour;
  pen.strokeStyle = PLATE;
  pen.lineWidth = 2.5;
  pen.lineJoin = "round";
  pen.stroke();
  pen.fill();
  return canvas;
}

function sign(pen: CanvasRenderingContext2D, kind: string, colour: string, x: number, y: number, size: number): void {
  pen.save();
  pen.translate(x, y);
  pen.scale(size / 24, size / 24);
  pen.strokeStyle = colour;
  pen.lineWidth = 2.4;
  pen.lineCap = pen.lineJoin = "round";
  pen.stroke(new Path2D(glyphOf(kind)));
  pen.restore();
}
