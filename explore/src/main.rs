//! `cargo run --release -p amends-explore`: explores every group, then springs every trap.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use amends_core::mutant::mutate;
use amends_explore::choreography;
use amends_explore::groups::{self, Reach, Spec, Tally};
use amends_explore::model::{Menu, Wire};
use amends_explore::report::{Floor, trace};
use amends_explore::shape::Policy;
use amends_explore::table::Table;
use amends_explore::world::Left;
use amends_explore::{marks, plan, traps};

const HELP: &str = "\
amends-explore: every state of every small saga

  --group NAME       only this group, as --plan lists them
  --plan             say what would be explored, and explore nothing
  --whole            also the groups that take longer than a test run should
  --deep             one fault more in each group, every shape on every wire; takes days
  --no-traps         do not spring the traps
  --traps            only spring the traps
  --trace            print the counterexample of each trap
  --table            say at the end, tab-separated, which law was checked by what, over how many
                     states, and which traps it caught
  --raise-floor      write what was explored to floor.txt
  --shape SHAPE      only this shape, such as cB,cS<0,pU<01; with any of
    --wire exchange|named|plain, --policy plain|one-timeout|max-attempts|saga-deadline,
    --faults N, --crashes N, --cancels N, --verbs N, --only crashes|undo-postponed, --trap WORDS
";

#[derive(Default)]
struct Options {
    group: Option<String>,
    reach: Reach,
    plan: bool,
    no_traps: bool,
    only_traps: bool,
    trace: bool,
    raise_floor: bool,
    table: bool,
    shape: Option<String>,
    trap: Option<String>,
    wire: Option<Wire>,
    only: Option<Menu>,
    policy: Option<Policy>,
    left: [Option<u8>; 4],
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("{wrong}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if options.plan {
        for group in plan::all(options.reach) {
            let reach = format!("{:?}", group.reach).to_lowercase();
            let (name, scenes) = (group.name, group.scenes.len());
            println!("{name:21} {reach:5} {scenes:6} scenes: {}", group.about);
        }
        for group in choreography::groups(options.reach) {
            let reach = format!("{:?}", group.reach).to_lowercase();
            let (name, scenes) = (group.name, group.scenes.len());
            println!("{name:21} {reach:5} {scenes:6} scenes: {}", group.about);
        }
        return ExitCode::SUCCESS;
    }
    let done = match &options.shape {
        Some(shape) => one_shape(&options, shape),
        None => everything(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Option<Options>, String> {
    let mut options = Options::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--group" => options.group = Some(value()?),
            "--plan" => options.plan = true,
            "--whole" => options.reach = Reach::Whole,
            "--deep" => options.reach = Reach::Deep,
            "--no-traps" => options.no_traps = true,
            "--traps" => options.only_traps = true,
            "--trace" => options.trace = true,
            "--table" => options.table = true,
            "--raise-floor" => options.raise_floor = true,
            "--shape" => options.shape = Some(value()?),
            "--trap" => options.trap = Some(value()?),
            "--wire" => {
                options.wire = Some(match value()?.as_str() {
                    "exchange" => Wire::Exchange,
                    "named" => Wire::Named,
                    "plain" => Wire::Plain,
                    other => return Err(format!("there is no wire `{other}`")),
                });
            }
            "--only" => {
                options.only = Some(match value()?.as_str() {
                    "crashes" => Menu::Crashes,
                    "undo-postponed" => Menu::UndoPostponed,
                    other => return Err(format!("there is no `{other}` to have only")),
                });
            }
            "--policy" => {
                options.policy = Some(match value()?.as_str() {
                    "plain" => Policy::Plain,
                    "one-timeout" => Policy::OneTimeout,
                    "max-attempts" => Policy::MaxAttempts,
                    "saga-deadline" => Policy::SagaDeadline,
                    other => return Err(format!("there is no policy `{other}`")),
                });
            }
            "--faults" | "--crashes" | "--cancels" | "--verbs" => {
                let number = value()?.parse().map_err(|e| format!("{word}: {e}"))?;
                let names = ["--faults", "--crashes", "--cancels", "--verbs"];
                let at = names.iter().position(|&name| name == word).unwrap_or(0);
                options.left[at] = Some(number);
            }
            other => return Err(format!("there is no option `{other}`")),
        }
    }
    Ok(Some(options))
}

fn one_shape(options: &Options, shape: &str) -> Result<(), String> {
    let shape: amends_explore::shape::Shape = shape.parse()?;
    let [faults, crashes, cancels, verbs] = options.left;
    let left = Left {
        faults: faults.unwrap_or(2),
        crashes: crashes.unwrap_or(1),
        cancels: cancels.unwrap_or(1),
        verbs: verbs.unwrap_or(0),
    };
    if let Some(words) = &options.trap {
        let trap = traps::ALL.iter().find(|(_, _, name)| name.contains(words.as_str()));
        let (trap, _, name) = trap.ok_or_else(|| format!("there is no trap `{words}`"))?;
        println!("with a trap: {name}");
        traps::set(Some(*trap));
    }
    let wires = options.wire.map_or(Wire::ALL.to_vec(), |wire| vec![wire]);
    let policies = options.policy.map_or(vec![Policy::Plain], |policy| vec![policy]);
    for wire in wires {
        for &policy in &policies {
            let menu = options.only.unwrap_or(Menu::Everything);
            let spec = Spec { shape: shape.clone(), policy, wire, left, menu };
            if let Err(wrong) = shape.define(policy) {
                return Err(format!("{shape} is not well-formed: {wrong:?}"));
            }
            let begun = Instant::now();
            let (tally, broken) = groups::explore_one(&spec);
            let seconds = begun.elapsed().as_secs_f64();
            println!("{shape} {policy:?} {wire:?}: {}", counted(&tally, seconds));
            if let Some(broken) = broken {
                return Err(trace(&broken));
            }
        }
    }
    Ok(())
}

fn everything(options: &Options) -> Result<(), String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("floor.txt");
    let kept = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut floor = Floor::parse(&kept)?;
    let whole = options.group.is_none() && !options.only_traps;
    let (mut table, mut choreographed) = Default::default();
    if !options.only_traps {
        explore_groups(options, &mut floor, &mut table, &mut choreographed)?;
    }
    if whole {
        let missing = [marks::missing(), choreography::marks::missing()].concat();
        if !missing.is_empty() {
            return Err(format!("never seen in the whole run: {}", missing.join("; ")));
        }
        println!("{} marks, each seen", marks::ALL.len() + choreography::marks::ALL.len());
    }
    if !options.no_traps && options.group.is_none() {
        spring(options, &mut table)?;
        spring_choreographed(options, &mut choreographed)?;
    }
    if whole && !options.no_traps {
        table.complete()?;
        choreographed.complete()?;
    }
    if options.table {
        print!("{}{}", table.text(), choreographed.text());
    }
    if options.raise_floor {
        fs::write(&path, floor.text()).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

fn explore_groups(
    options: &Options,
    floor: &mut Floor,
    table: &mut Table,
    choreographed: &mut choreography::table::Table,
) -> Result<(), String> {
    let mut total = Tally::default();
    let begun = Instant::now();
    let mut groups = plan::all(options.reach);
    let wanted = |name: &str| options.group.as_ref().is_none_or(|wanted| wanted == name);
    groups.retain(|group| wanted(group.name));
    let mut danced = choreography::groups(options.reach);
    danced.retain(|group| wanted(group.name));
    if groups.is_empty() && danced.is_empty() {
        return Err("there is no such group: see --plan, with --whole or --deep".to_owned());
    }
    let mut fallen = Vec::new();
    let mut hold = |name: &str, tally: &Tally| {
        if options.raise_floor {
            floor.raise(options.reach, name, tally);
        } else {
            fallen.extend(floor.below(options.reach, name, tally));
        }
    };
    for group in groups {
        let tally = explore_group(&group)?;
        total.add(tally);
        table.explored(&group, &tally);
        hold(group.name, &tally);
    }
    for group in danced {
        let begun = Instant::now();
        let tally = choreography::explore(&group.scenes)
            .map_err(|found| choreography::report::trace(&found.0))?;
        let counted = counted(&tally, begun.elapsed().as_secs_f64());
        println!("{:21} {counted}  ({})", group.name, group.about);
        total.add(tally);
        choreographed.explored(tally.states);
        hold(group.name, &tally);
    }
    println!("{:21} {}", "total", counted(&total, begun.elapsed().as_secs_f64()));
    // Its total too, so that no group is lost or moved unseen.
    if options.group.is_none() {
        hold(Floor::total(options.reach), &total);
    }
    // A long run says at its end all that it found, and not the first of it only.
    if fallen.is_empty() { Ok(()) } else { Err(fallen.join("\n")) }
}

fn explore_group(group: &groups::Group) -> Result<Tally, String> {
    let begun = Instant::now();
    let explored = groups::explore(&group.scenes);
    let seconds = begun.elapsed().as_secs_f64();
    match explored {
        Ok(tally) => {
            println!("{:21} {}  ({})", group.name, counted(&tally, seconds), group.about);
            Ok(tally)
        }
        Err(found) => Err(trace(&found.0)),
    }
}

fn spring(options: &Options, table: &mut Table) -> Result<(), String> {
    let mut escaped = Vec::new();
    for (trap, law, name) in traps::ALL {
        let (tally, broken) = traps::spring(trap);
        let caught = broken.as_ref().map(|broken| Caught {
            law: format!("{:?}", broken.law),
            shape: broken.spec.shape.to_string(),
            moves: broken.actions.len(),
        });
        if !is_caught(name, &format!("{law:?}"), tally.states, caught) {
            escaped.push(name);
            continue;
        }
        table.caught(law, name);
        if let Some(broken) = broken.filter(|_| options.trace) {
            traps::set(Some(trap));
            println!("{}", trace(&broken));
            traps::set(None);
        }
    }
    if escaped.is_empty() { Ok(()) } else { Err(format!("not caught: {}", escaped.join("; "))) }
}

fn spring_choreographed(
    options: &Options,
    table: &mut choreography::table::Table,
) -> Result<(), String> {
    let mut escaped = Vec::new();
    for (mutant, law, name) in choreography::traps::ALL {
        let (tally, broken) = choreography::traps::spring(mutant);
        let caught = broken.as_ref().map(|broken| Caught {
            law: format!("{:?}", broken.law),
            shape: broken.spec.shape.to_string(),
            moves: broken.actions.len(),
        });
        if !is_caught(name, &format!("{law:?}"), tally.states, caught) {
            escaped.push(name);
            continue;
        }
        table.caught(law, name);
        if let Some(broken) = broken.filter(|_| options.trace) {
            mutate(Some(mutant));
            println!("{}", choreography::report::trace(&broken));
            mutate(None);
        }
    }
    if escaped.is_empty() { Ok(()) } else { Err(format!("not caught: {}", escaped.join("; "))) }
}

/// By what a mistake was caught.
struct Caught {
    law: String,
    shape: String,
    moves: usize,
}

/// Says what became of a mistake: was it caught, and by its own law?
fn is_caught(name: &str, wanted: &str, states: usize, caught: Option<Caught>) -> bool {
    match caught {
        Some(Caught { law, shape, moves }) if law == wanted => {
            println!("caught: {name:47} {law:5} {shape:12} {moves:3} moves {states:9} states");
            true
        }
        Some(Caught { law, .. }) => {
            println!("CAUGHT BY {law}, not by {wanted}: {name}");
            false
        }
        None => {
            println!("NOT CAUGHT in {states} states: {name}");
            false
        }
    }
}

fn counted(tally: &Tally, seconds: f64) -> String {
    let Tally { shapes, scenes, states, depth_max } = tally;
    format!(
        "{shapes:6} shapes {scenes:6} scenes {states:10} states, depth {depth_max:3}, {seconds:6.1} s"
    )
}
