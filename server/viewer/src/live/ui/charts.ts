/** The charts of the overlay, by ECharts: only the parts that are used are brought along. */

import { BarChart, LineChart } from "echarts/charts";
import { GridComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { init, use, type EChartsType } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { Light, Point, Ranked } from "../indicators";

use([BarChart, LineChart, GridComponent, TooltipComponent, MarkLineComponent, SVGRenderer]);

export const LIGHT_COLOURS: Readonly<Record<Light, string>> = { ok: "#57c785", warn: "#e6c34a", alarm: "#ff4d5e", unknown: "#5c6f80" };
const LINE = "#22303d";
const SOFT = "#93a5b4";

export class Chart {
  private readonly chart: EChartsType;

  constructor(readonly element: HTMLElement) {
    this.chart = init(element, undefined, { renderer: "svg" });
    new ResizeObserver(() => element.clientWidth > 0 && this.chart.resize()).observe(element);
  }

  /** A line without axes: the course, not the numbers. A gap where nothing is known. */
  spark(points: readonly Point[], light: Light): void {
    const colour = light === "ok" || light === "unknown" ? "#7fc4d6" : LIGHT_COLOURS[light];
    this.chart.setOption({
      animation: false,
      grid: { left: 1, right: 3, top: 3, bottom: 2 },
      xAxis: { type: "time", show: false },
      yAxis: { type: "value", show: false, scale: true },
      series: [
        { type: "line", symbol: "none", connectNulls: false, lineStyle: { width: 1.8, color: colour }, areaStyle: { color: colour, opacity: 0.12 }, data: points.map((p) => [p.time, p.value ?? null]) },
      ],
    });
  }

  course(points: readonly Point[], write: (value: number) => string): void {
    this.chart.setOption({
      animation: false,
      grid: { left: 46, right: 12, top: 12, bottom: 24 },
      tooltip: { trigger: "axis", backgroundColor: "#0f1720", borderColor: "#38495a", textStyle: { color: "#dfe8ee" } },
      xAxis: { type: "time", axisLabel: { color: SOFT, hideOverlap: true }, axisLine: { lineStyle: { color: LINE } }, splitLine: { show: false } },
      yAxis: { type: "value", scale: true, splitNumber: 3, axisLabel: { color: SOFT, formatter: write }, splitLine: { lineStyle: { color: LINE } } },
      series: [{ type: "line", symbol: "none", connectNulls: false, lineStyle: { width: 2, color: "#7fc4d6" }, areaStyle: { color: "#7fc4d6", opacity: 0.1 }, data: points.map((p) => [p.time, p.value ?? null]) }],
    });
  }

  /** The worst on top; what is unknown stands last, without a bar. */
  ranking(areas: readonly Ranked[], write: (value: number) => string, chosen: (index: number) => void): void {
    const rows = [...areas].reverse();
    this.chart.off("click");
    this.chart.setOption({
      animationDuration: 300,
      grid: { left: 4, right: 64, top: 2, bottom: 2, containLabel: true },
      xAxis: { type: "value", show: false, min: 0 },
      yAxis: {
        type: "category",
        data: rows.map((row) => row.name),
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: { color: "#dfe8ee", fontSize: 13, width: 110, overflow: "truncate" },
        triggerEvent: true,
      },
      series: [
        {
          type: "bar",
          barWidth: "58%",
          showBackground: true,
          backgroundStyle: { color: "#131e28", borderRadius: 2 },
          data: rows.map((row) => ({ value: row.value ?? 0, itemStyle: { color: LIGHT_COLOURS[row.light], borderRadius: 2 }, label: { formatter: row.value === undefined ? "—" : write(row.value) } })),
          label: { show: true, position: "right", color: "#dfe8ee", fontSize: 13, distance: 6 },
        },
      ],
    });
    this.chart.on("click", (event: { dataIndex?: number }) => {
      if (event.dataIndex !== undefined) chosen(areas.length - 1 - event.dataIndex);
    });
  }

  /** How many reports in each part of a day, the severe ones in their colour. */
  day(bins: readonly { time: number; calm: number; severe: number }[]): void {
    const bar = (name: string, colour: string, data: number[]): object => ({ name, type: "bar", stack: "all", barCategoryGap: "12%", itemStyle: { color: colour }, data });
    this.chart.setOption({
      animation: false,
      grid: { left: 0, right: 0, top: 2, bottom: 0 },
      xAxis: { type: "category", show: false, data: bins.map((bin) => bin.time) },
      yAxis: { type: "value", show: false },
      series: [bar("calm", "#3f5668", bins.map((bin) => bin.calm)), bar("severe", "#ff8a3d", bins.map((bin) => bin.severe))],
    });
  }
}
