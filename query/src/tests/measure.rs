use super::*;
#[tokio::test(flavor = "multi_thread")]
async fn measure_views() {
    let folder = TempDir::new().expect("folder");
    let lake = Lake::open(folder.path().to_str().expect("UTF-8")).await.expect("lake");
    for epoch in 0..50_i64 {
        let rows = (0..2000).map(|i| { let key = (epoch % 10) * 2000 + i; json!({
            "agreement": format!("agreement-{}", key % 300), "service": format!("service-{}", key % 199), "objective":"availability","offering":"gold","customer":"c","calendar":"24x7","target":"at least 99.9 %",
            "window_start": format!("2026-01-{:02}T{:02}:00:00Z", 1 + key % 31, key / 31 % 24), "window_end":"2026-02-01T00:00:00Z","verdict":"met","attainment_ratio":"0.999","good_us": key, "signal": format!("s{}", key/744)})}).collect();
        lake.append(Table::Attainment, vec![batch(Table::Attainment, epoch, rows)], "group-0", epoch)
            .await
            .expect("append");
    }
    let sql = [
      ("history", "SELECT count(good_us), min(verdict) FROM history.attainment".to_owned()),
      ("history all", "SELECT * FROM history.attainment".to_owned()),
      ("view all", "SELECT * FROM attainment".to_owned()),
      ("view count", "SELECT count(*), sum(good_us) FROM attainment".to_owned()),
      ("view filter", "SELECT * FROM attainment WHERE service = 'service-7'".to_owned()),
      ("view order", "SELECT * FROM attainment ORDER BY window_start DESC LIMIT 1000".to_owned()),
      ("trend", "SELECT offering, window_start, count(*), avg(attainment_ratio) FROM attainment GROUP BY 1, 2".to_owned()),
      ("join", "SELECT h.* FROM history.attainment h JOIN (SELECT agreement, agreement_version, service, objective, window_start, max(revision * 4294967296 + epoch) AS newest FROM history.attainment GROUP BY 1,2,3,4,5) n ON h.agreement = n.agreement AND h.agreement_version = n.agreement_version AND h.service = n.service AND h.objective = n.objective AND h.window_start = n.window_start AND h.revision * 4294967296 + h.epoch = n.newest".to_owned()),
      ("join filter", "SELECT * FROM (SELECT h.* FROM history.attainment h JOIN (SELECT agreement, agreement_version, service, objective, window_start, max(revision * 4294967296 + epoch) AS newest FROM history.attainment GROUP BY 1,2,3,4,5) n ON h.agreement = n.agreement AND h.agreement_version = n.agreement_version AND h.service = n.service AND h.objective = n.objective AND h.window_start = n.window_start AND h.revision * 4294967296 + h.epoch = n.newest) WHERE service='service-7'".to_owned()),
      ("last_value", format!("SELECT agreement, agreement_version, service, objective, window_start, {} FROM history.attainment GROUP BY agreement, agreement_version, service, objective, window_start", Table::Attainment.schema().fields().iter().filter(|f| !["agreement","agreement_version","service","objective","window_start"].contains(&f.name().as_str())).map(|f| format!("last_value({0} ORDER BY revision, epoch) AS {0}", f.name())).collect::<Vec<_>>().join(", "))),
    ];
    for topn in [false, true] {
        let service = QueryService::open(lake.clone(), limits()).await.expect("service");
        if topn {
            service.context.sql("SET datafusion.optimizer.enable_window_topn = true").await.expect("set");
        }
        for (name, statement) in &sql {
            for _ in 0..2 {
                let start = std::time::Instant::now();
                match service.sql(statement).await {
                    Ok(a) => {
                        let r: Result<Vec<_>, _> = a.try_collect().await;
                        match r {
                            Ok(b) => println!(
                                "topn {topn} {name}: {:?} rows {}",
                                start.elapsed(),
                                b.iter().map(|b| b.num_rows()).sum::<usize>()
                            ),
                            Err(e) => println!("{name} {e}"),
                        }
                    }
                    Err(e) => println!("{name} {e}"),
                }
            }
        }
    }
    let service = QueryService::open(lake.clone(), limits()).await.expect("service");
    println!(
        "{}",
        ask(
            &service,
            "EXPLAIN SELECT agreement, verdict FROM attainment WHERE service = 'service-7' AND verdict='met'",
            Format::Table
        )
        .await
        .expect("x")
    );
}
