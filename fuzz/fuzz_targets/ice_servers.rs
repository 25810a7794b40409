#![cfg_attr(fuzzing, no_main)]

metered_realtime_fuzz::program!(ice_servers);
