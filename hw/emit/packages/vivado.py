# SPDX-License-Identifier: Apache-2.0
"""Vivado: Tcl that packages an engine as an IP, or builds it out of context, and its clock."""

from typing import Any

from ecoformer.hw.emit.packages.pins import CLOCK, LIBRARY, VENDOR
from ecoformer.spec.config import Config

__all__ = ["clock", "package_ip", "project"]

PERIOD_NS = 10
PART = "xc7z020clg400-1"


def package_ip(config: Config, description: dict[str, Any]) -> str:
    """Text of ``vivado/package_ip.tcl``: the engine as an IP for Vivado's catalog."""
    return _fill(PACKAGE, description)


def project(config: Config, description: dict[str, Any]) -> str:
    """Text of ``vivado/project.tcl``: a project that builds the engine out of context."""
    return _fill(PROJECT, description)


def clock(config: Config, description: dict[str, Any]) -> str:
    """Text of ``vivado/<name>_ooc.xdc``: the clock of an engine that is built out of context."""
    return _fill(CONSTRAINTS, description)


def _fill(text, description):
    major_minor = ".".join(description["version"].split(".")[:2])
    words = {
        "NAME": description["name"], "VENDOR": VENDOR, "LIBRARY": LIBRARY, "CLOCK": CLOCK,
        "VERSION": major_minor, "FINGERPRINT": description["fingerprint"][:16], "PART": PART,
        "PERIOD": f"{PERIOD_NS:.3f}",
    }
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


PACKAGE = """\
# Packages @NAME@ for Vivado's IP catalog, as @VENDOR@:@LIBRARY@:@NAME@:@VERSION@.
#
#   vivado -mode batch -source vivado/package_ip.tcl [-tclargs DIR]
#
# DIR is the new folder of the IP, @NAME@_ip by default; add it to ip_repo_paths of a project. The
# buses, their clock and the interrupt are inferred from attributes in the Verilog.

set design [file dirname [file dirname [file normalize [info script]]]]
set target [file normalize [expr {$argc > 0 ? [lindex $argv 0] : "@NAME@_ip"}]]
if {[file exists $target]} {
  puts stderr "$target exists already; name another folder by -tclargs"
  exit 2
}

create_project -in_memory @NAME@_ip
add_files -norecurse [file join $design rtl @NAME@.v]
set_property top @NAME@ [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir $target -vendor @VENDOR@ -library @LIBRARY@ \\
  -taxonomy /AXI_Peripheral -import_files
set core [ipx::current_core]
set_property name @NAME@ $core
set_property version @VERSION@ $core
set_property display_name "EcoFormer attention @NAME@" $core
set_property description "EcoFormer attention engine, configuration @FINGERPRINT@" $core
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
"""

PROJECT = """\
# A Vivado project that synthesises, places and routes @NAME@ out of context.
#
#   vivado -mode batch -source vivado/project.tcl [-tclargs PART [DIR]]
#
# PART is @PART@ by default, and DIR, the new folder of the project, @NAME@_project. Timing and
# utilization come out as reports in DIR. The clock is in vivado/@NAME@_ooc.xdc.

set design [file dirname [file dirname [file normalize [info script]]]]
set part [expr {$argc > 0 ? [lindex $argv 0] : "@PART@"}]
set target [file normalize [expr {$argc > 1 ? [lindex $argv 1] : "@NAME@_project"}]]
if {[file exists $target]} {
  puts stderr "$target exists already; name another folder by -tclargs"
  exit 2
}

create_project @NAME@ $target -part $part
add_files -norecurse [file join $design rtl @NAME@.v]
add_files -fileset constrs_1 -norecurse [file join $design vivado @NAME@_ooc.xdc]
set_property top @NAME@ [current_fileset]
update_compile_order -fileset sources_1
set_property -name {STEPS.SYNTH_DESIGN.ARGS.MORE OPTIONS} -value {-mode out_of_context} \\
  -objects [get_runs synth_1]

launch_runs impl_1
wait_on_runs impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
  puts stderr "the run impl_1 failed; its log is in $target/@NAME@.runs"
  exit 1
}
open_run impl_1
report_timing_summary -file [file join $target timing.rpt]
report_utilization -hierarchical -file [file join $target utilization.rpt]
close_project
"""

CONSTRAINTS = """\
# The clock of @NAME@ when it is built out of context; in a design, that of the design counts.
# Inputs and outputs are registered by their neighbours and have no delays here.
create_clock -name @CLOCK@ -period @PERIOD@ [get_ports @CLOCK@]
"""
