#![cfg_attr(fuzzing, no_main)]

metered_realtime_fuzz::program!(room);
